#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::operands::check(data));
