//! What each connection does: decided by its number alone, so that a run can
//! be repeated.

/// How a connection goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Some requests are answered, then the client ends it.
    ClientEnds,
    /// One request is answered, then the server ends it.
    ServerEnds,
    /// The client ends its sending, and is answered then.
    ClientHalfCloses,
    /// The server answers and ends its sending; the client sends on.
    ServerHalfCloses,
    /// The client resets when it has been answered.
    ClientResets,
    /// The client leaves without a word.
    SaysNothing,
    /// The client leaves in the middle of a request.
    BreaksOff,
    /// The server that comes first refuses.
    Refused,
    /// The client resets in the middle of a long answer.
    ClientResetsAnswer,
    /// The client never reads, and leaves once there is something to read.
    NeverReads,
    /// The server resets in the middle of its answer.
    ServerResets,
    /// The server closes as soon as it has accepted.
    ServerCloses,
    /// UDP: some questions are answered.
    Asks,
    /// UDP: the client leaves before the answer is there.
    LeavesEarly,
    /// UDP: the server that comes first refuses.
    AsksRefused,
}

/// What a server does with those who come to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Nothing is lost on the way to it or back.
    Orderly,
    /// Connections end in the middle, so that the two ends differ in what they
    /// have seen.
    Rough,
    /// Closes each connection at once.
    Closing,
    /// Is not there.
    Absent,
}

/// All kinds, with their names in the table.
pub(crate) const KINDS: [(Kind, &str); 15] = [
    (Kind::ClientEnds, "requests are answered, the client ends"),
    (Kind::ServerEnds, "a request is answered, the server ends"),
    (Kind::Asks, "UDP: questions are answered"),
    (Kind::ClientHalfCloses, "broken: client half-closes"),
    (Kind::ServerHalfCloses, "broken: server half-closes"),
    (Kind::ClientResets, "broken: client resets"),
    (Kind::SaysNothing, "broken: client says nothing"),
    (Kind::BreaksOff, "broken: client leaves in mid-request"),
    (Kind::Refused, "broken: server refuses, the next one serves"),
    (Kind::ClientResetsAnswer, "broken: client resets in mid-answer"),
    (Kind::NeverReads, "broken: client never reads and leaves"),
    (Kind::ServerResets, "broken: server resets in mid-answer"),
    (Kind::ServerCloses, "broken: server closes at once"),
    (Kind::LeavesEarly, "broken: UDP client leaves before the answer"),
    (Kind::AsksRefused, "broken: UDP server refuses, the next one serves"),
];

/// One connection in ten is broken, each way as often as the others.
const BROKEN_TCP: [Kind; 10] = [
    Kind::ClientHalfCloses,
    Kind::ServerHalfCloses,
    Kind::ClientResets,
    Kind::SaysNothing,
    Kind::BreaksOff,
    Kind::Refused,
    Kind::ClientResetsAnswer,
    Kind::NeverReads,
    Kind::ServerResets,
    Kind::ServerCloses,
];
const BROKEN_UDP: [Kind; 2] = [Kind::LeavesEarly, Kind::AsksRefused];

/// Bytes of an answer that no socket takes at once.
const LONG: u32 = 8 << 20;

impl Kind {
    /// Of the TCP connection with this number.
    pub(crate) fn tcp(number: u32) -> Kind {
        match (number % 10, number / 10 % 10) {
            (0, way) => BROKEN_TCP[way as usize],
            (1..=3, _) => Kind::ServerEnds,
            _ => Kind::ClientEnds,
        }
    }

    /// Of the UDP client with this number.
    pub(crate) fn udp(number: u32) -> Kind {
        match (number % 10, number / 10 % 2) {
            (0, way) => BROKEN_UDP[way as usize],
            _ => Kind::Asks,
        }
    }

    /// The server that it needs; of those absent another one serves.
    pub(crate) fn role(self) -> Role {
        match self {
            Kind::ClientResetsAnswer
            | Kind::NeverReads
            | Kind::ServerResets
            | Kind::LeavesEarly => Role::Rough,
            Kind::ServerCloses => Role::Closing,
            Kind::Refused | Kind::AsksRefused => Role::Absent,
            _ => Role::Orderly,
        }
    }
}

/// Numbers that look random and are the same each time.
pub(crate) struct Dice(u32);

impl Dice {
    pub(crate) fn new(number: u32) -> Dice {
        Dice(number.wrapping_mul(2_654_435_761) ^ 0x5bd1_e995)
    }

    /// One of `0..below`.
    pub(crate) fn throw(&mut self, below: u32) -> u32 {
        // A linear congruential generator; its high bits are random.
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((u64::from(self.0) * u64::from(below)) >> 32) as u32
    }

    /// Bytes of a request or an answer: most are small, some are not.
    pub(crate) fn size(&mut self) -> u32 {
        match self.throw(1000) {
            0 => self.throw(1 << 20),
            1..20 => self.throw(200_000),
            20..200 => self.throw(20_000),
            _ => self.throw(600),
        }
    }
}

/// What a client asks for: how the connection goes, which stream of bytes it
/// sends, how many of them, and how many it wants back.
#[derive(Clone, Copy)]
pub(crate) struct Request {
    pub(crate) kind: Kind,
    pub(crate) stream: u32,
    pub(crate) up: u32,
    pub(crate) down: u32,
}

impl Request {
    /// Bytes of its head.
    pub(crate) const HEAD: usize = 13;

    pub(crate) fn new(kind: Kind, stream: u32, dice: &mut Dice) -> Request {
        let down = match kind {
            Kind::ClientResetsAnswer | Kind::NeverReads => LONG,
            _ => dice.size(),
        };
        // Never nothing: `ServerResets` leaves something unread.
        Request { kind, stream, up: 1 + dice.size(), down }
    }

    /// What goes in front of the bytes.
    pub(crate) fn head(&self) -> [u8; Request::HEAD] {
        let kind = KINDS.iter().position(|(kind, _)| *kind == self.kind).unwrap();
        let mut head = [kind as u8; Request::HEAD];
        for (place, number) in [(1, self.stream), (5, self.up), (9, self.down)] {
            head[place..place + 4].copy_from_slice(&number.to_be_bytes());
        }
        head
    }

    /// The request of this head, if it is one.
    pub(crate) fn read(head: &[u8]) -> Option<Request> {
        let number = |place: usize| {
            let bytes = head.get(place..place + 4)?;
            Some(u32::from_be_bytes(bytes.try_into().ok()?))
        };
        let (kind, _) = KINDS.get(usize::from(*head.first()?))?;
        Some(Request { kind: *kind, stream: number(1)?, up: number(5)?, down: number(9)? })
    }
}
