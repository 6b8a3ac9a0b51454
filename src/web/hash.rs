//! SHA-256 (FIPS 180-4), for the compiler alone: what a browser may run is
//! named by its hash. Nothing of it is in the program.

// Evaluated by the compiler, which would stop at a mistake.
#![allow(clippy::indexing_slicing)]

/// The first 32 bits of the fractional parts of `root(prime)` (4.2.2, 5.3.3),
/// as they are in the standard's tables.
const K: [u32; 64] = [
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
];
const START: [u32; 8] = [
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
];

/// The byte at `at` of the padded message (5.1.1), which is `end` bytes long.
const fn byte(data: &[u8], at: usize, end: usize) -> u32 {
    if at < data.len() {
        data[at] as u32
    } else if at == data.len() {
        0x80
    } else if at + 8 < end {
        0
    } else {
        (((data.len() as u64) << 3) >> (8 * (end - 1 - at)) & 255) as u32
    }
}

/// The hash of a message (6.2.2).
pub(super) const fn sha256(data: &[u8]) -> [u8; 32] {
    let end = (data.len() + 9).div_ceil(64) * 64;
    let mut hash = START;
    let mut start = 0;
    while start < end {
        let mut w = [0_u32; 64];
        let mut t = 0;
        while t < 64 {
            w[t] = if t < 16 {
                let at = start + 4 * t;
                byte(data, at, end) << 24
                    | byte(data, at + 1, end) << 16
                    | byte(data, at + 2, end) << 8
                    | byte(data, at + 3, end)
            } else {
                let (x, y) = (w[t - 15], w[t - 2]);
                let x = x.rotate_right(7) ^ x.rotate_right(18) ^ x >> 3;
                let y = y.rotate_right(17) ^ y.rotate_right(19) ^ y >> 10;
                w[t - 16].wrapping_add(x).wrapping_add(w[t - 7]).wrapping_add(y)
            };
            t += 1;
        }
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = hash;
        let mut t = 0;
        while t < 64 {
            let sum = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
            let first = h.wrapping_add(sum).wrapping_add(e & f ^ !e & g);
            let first = first.wrapping_add(K[t]).wrapping_add(w[t]);
            let sum = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
            let second = sum.wrapping_add(a & b ^ a & c ^ b & c);
            (h, g, f, e) = (g, f, e, d.wrapping_add(first));
            (d, c, b, a) = (c, b, a, first.wrapping_add(second));
            t += 1;
        }
        let next = [a, b, c, d, e, f, g, h];
        let mut i = 0;
        while i < 8 {
            hash[i] = hash[i].wrapping_add(next[i]);
            i += 1;
        }
        start += 64;
    }
    let mut out = [0; 32];
    let mut i = 0;
    while i < 32 {
        out[i] = (hash[i / 4] >> (24 - 8 * (i % 4))) as u8;
        i += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those of sha256sum(1).
    #[test]
    fn hashes_of_known_messages() {
        for (message, hash) in [
            (&b""[..], "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (&[b'a'; 55], "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318"),
            (&[b'a'; 56], "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a"),
            (&[b'a'; 64], "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb"),
            (&[b'a'; 1000], "41edece42d63e8d9bf515a9ba6932e1c20cbc9f5a5d134645adb5db1b9737ea3"),
        ] {
            let text: String = sha256(message).iter().map(|b| format!("{b:02x}")).collect();
            assert_eq!(text, hash);
        }
    }
}
