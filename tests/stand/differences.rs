//! Where ours is not the same as the C pen: the rows of the table that `make compat`
//! writes into `tests/compat/DIFFERENCES.md`. They are in `differences.txt`, each on a
//! line. At least one test names each row; `make compat` says which row has none.

/// A difference, in the words of that table.
pub(crate) struct Difference {
    #[allow(dead_code)] // outside of the suite, whose transcript names them
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) c_pen: &'static str,
    #[allow(dead_code)] // in the suite, which only says what the C program does
    pub(crate) ours: &'static str,
}

macro_rules! differences {
    ($($name:ident: $what:literal, $c_pen:literal, $ours:literal;)*) => {
        $(
            pub(crate) const $name: Difference = Difference {
                name: stringify!($name),
                what: $what,
                c_pen: $c_pen,
                ours: $ours,
            };
        )*

        /// All of them, in the order of the table.
        #[allow(dead_code)] // in the suite, which has no use for the list
        pub(crate) const ALL: &[Difference] = &[$($name),*];
    };
}

include!("differences.txt");

/// Ends the running test if the program under test is the C program, and ours
/// does better here: `better!(NAME)` is `if better(&NAME) { return; }`.
#[allow(unused_macros)] // outside of the suite
macro_rules! better {
    ($name:ident) => {
        if $crate::stand::better(&$crate::stand::differences::$name) {
            return;
        }
    };
}
#[allow(unused_imports)]
pub(crate) use better;
