//! Checks an array or object 64 bytes at a time: a set of bytes is one word, with a bit for each byte.
//!
//! Strings, separators and numbers are followed by arithmetic on these words (the sum of a mark and a run of bits
//! carries the mark to the end of the run), so the work for a block does not depend on what stands in it. Only
//! brackets, literals and escapes are looked at one by one. It says whether the value is valid; what is wrong with
//! one that is not, the scanner finds out, byte by byte.

// All is inlined into a function with the features of the processor; casts take halves of words.
#![allow(clippy::inline_always, clippy::cast_possible_truncation)]

use super::{text, MAX_DEPTH};

/// 64 bytes of the data.
pub trait Block: Sized {
    /// Takes the bytes.
    fn load(bytes: &[u8; 64]) -> Self;
    /// Where this byte is.
    fn equal(&self, byte: u8) -> u64;
    /// Where a byte lies in `first..=first + more`.
    fn within(&self, first: u8, more: u8) -> u64;
    /// The same bytes with bit 5 set: lower-case letters, and `{}` for `[]`.
    fn lowered(&self) -> Self;
}

/// What of a block depends on the blocks before: one bit each, a mark that goes on at the first byte.
#[derive(Default)]
struct Carry {
    escaped: u64,
    scalar: u64,
    after_open: [u64; 2],
    after_colon: [u64; 2],
    after_value: [u64; 2],
    after_key: [u64; 2],
    key: u64,
    /// The bytes of a literal that lie in this block, and its end.
    literal: [u64; 2],
    numbers: Numbers,
}

/// The state of a number at the end of a block.
#[derive(Default)]
struct Numbers {
    minus: u64,
    zero: u64,
    integer: u64,
    dot: u64,
    fraction: u64,
    e: u64,
    sign: u64,
    exponent: u64,
}

/// The characters of numbers in a block.
struct Digits {
    digit: u64,
    zero: u64,
    minus: u64,
    plus: u64,
    dot: u64,
    e: u64,
}

/// The open arrays and objects.
struct Nesting {
    outer: [bool; MAX_DEPTH],
    bottom: usize,
    depth: usize,
    /// All bits if the innermost one is an object.
    object: u64,
}

/// The byte after the array or object that begins at `start`, `depth` levels deep. `None` if it is not valid.
#[inline(always)]
pub fn find_end<B: Block>(data: &[u8], start: usize, depth: usize) -> Option<usize> {
    let mut carry = Carry {
        after_open: [1, 0], // a value is expected
        ..Carry::default()
    };
    let mut nesting = Nesting {
        outer: [false; MAX_DEPTH],
        bottom: depth,
        depth,
        object: 0,
    };
    let mut in_string = 0;
    let mut escape_end = start;
    let mut base = start;
    let mut padded;
    loop {
        let rest = data.get(base..)?;
        let bytes = if let Some(bytes) = rest.first_chunk::<64>() {
            bytes
        } else {
            if rest.is_empty() {
                return None;
            }
            padded = [b' '; 64];
            padded.get_mut(..rest.len())?.copy_from_slice(rest);
            &padded
        };
        let block = B::load(bytes);

        let mut quotes = block.equal(b'"');
        let backslashes = block.equal(b'\\');
        let control = block.within(0, 0x1f);
        if quotes | backslashes | control | carry.escaped == 0 && in_string != 0 {
            base += 64; // the inside of a long string
            continue;
        }
        if backslashes | carry.escaped != 0 {
            quotes &= !escapes(data, base, backslashes, &mut carry.escaped, &mut escape_end)?;
        }
        // From the opening quote to before the closing one.
        let strings = parity(quotes) ^ in_string;
        in_string = (strings >> 63).wrapping_neg();
        let outside = !(strings | quotes);
        let string_starts = quotes & strings;
        let string_ends = quotes & !strings;
        if control != 0 {
            let lines = block.equal(b'\t') | block.equal(b'\n') | block.equal(b'\r');
            if control & !(lines & outside) != 0 {
                return None;
            }
        }
        let spaces = block.within(0, b' ') & outside;
        let commas = block.equal(b',') & outside;
        let colons = block.equal(b':') & outside;
        let lowered = block.lowered();
        let opening = lowered.equal(b'{') & outside;
        let closing = lowered.equal(b'}') & outside;

        // Numbers and literals.
        let scalars = outside & !(spaces | commas | colons | opening | closing);
        let before = scalars << 1 | carry.scalar;
        carry.scalar = scalars >> 63;
        let scalar_starts = scalars & !before;
        let after_scalars = before & !scalars;
        if before | scalars != 0 {
            check_scalars(data, base, &block, &lowered, [scalars, scalar_starts], &mut carry)?;
        }

        let (in_object, end) = nesting.follow(bytes, opening, closing)?;

        // What follows on what. Each token but the first stands after exactly one other.
        let after_open = follow(opening | commas, 0, spaces, &mut carry.after_open);
        let after_colon = follow(colons, 0, spaces, &mut carry.after_colon);
        let after_value = follow(
            string_ends | closing,
            after_scalars,
            spaces,
            &mut carry.after_value,
        );
        let starts = opening | string_starts | scalar_starts;
        let wrong = starts & !(after_open | after_colon) | commas & !after_value;
        let mut empty = closing & !after_value;
        while empty != 0 {
            let at = base + empty.trailing_zeros() as usize;
            if !matches!(data.get(..at)?.trim_ascii_end().last()?, b'{' | b'[') {
                return None;
            }
            empty &= empty - 1;
        }
        // Keys: strings where a member of an object begins, and nothing else there; a colon after each, and nowhere else.
        let keys = after_open & in_object & !closing;
        let key_ends = scan(keys, strings, &mut carry.key);
        let wrong =
            wrong | keys & !string_starts | colons ^ follow(key_ends, 0, spaces, &mut carry.after_key);
        match end {
            None if wrong != 0 => return None,
            None => base += 64,
            Some(end) => {
                let valid = u64::MAX >> (63 - end);
                return (wrong & valid == 0).then_some(base + end as usize + 1);
            }
        }
    }
}

/// Moves marks over the run of bits that each stands in, to the place after.
#[inline(always)]
fn scan(marks: u64, runs: u64, carry: &mut u64) -> u64 {
    let (sum, over) = (marks | *carry).overflowing_add(runs);
    *carry = u64::from(over);
    sum & !runs
}

/// The places after these.
#[inline(always)]
fn next(marks: u64, carry: &mut u64) -> u64 {
    let after = marks << 1 | *carry;
    *carry = marks >> 63;
    after
}

/// Where the tokens stand that follow on those that end at `ends` or before `after`.
#[inline(always)]
fn follow(ends: u64, after: u64, spaces: u64, carry: &mut [u64; 2]) -> u64 {
    let [shifted, scanned] = carry;
    scan(next(ends, shifted) | after, spaces, scanned)
}

/// For each bit, whether the number of bits up to it is odd.
#[inline(always)]
fn parity(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}

/// The escaped characters. `None` if an escape is not valid.
#[cold]
fn escapes(data: &[u8], base: usize, backslashes: u64, carry: &mut u64, end: &mut usize) -> Option<u64> {
    let mut escaped = *carry;
    let mut rest = backslashes & !escaped;
    *carry = 0;
    while rest != 0 {
        let at = rest.trailing_zeros();
        let position = base + at as usize;
        // The second half of a surrogate pair was looked at with the first.
        if position >= *end {
            *end = text::escape(data, position).ok()?.1;
        }
        if at == 63 {
            *carry = 1;
        }
        escaped |= 1 << at << 1;
        rest &= !(3 << at);
    }
    Some(escaped)
}

#[inline(always)]
fn check_scalars<B: Block>(
    data: &[u8],
    base: usize,
    block: &B,
    lowered: &B,
    [scalars, starts]: [u64; 2],
    carry: &mut Carry,
) -> Option<()> {
    let digit = block.within(b'0', 9) & scalars;
    let mut numbers = Digits {
        digit,
        zero: block.equal(b'0'),
        minus: 0,
        plus: 0,
        dot: 0,
        e: 0,
    };
    let [mut literals, mut ends] = std::mem::take(&mut carry.literal);
    let mut number_starts = starts;
    let mut others = scalars & !digit & !literals;
    if others != 0 {
        numbers.dot = block.equal(b'.') & others;
        numbers.minus = block.equal(b'-') & others;
        others &= !(numbers.dot | numbers.minus);
        if others != 0 {
            let mut rest = others & starts;
            number_starts &= !rest;
            while rest != 0 {
                let at = rest.trailing_zeros();
                let length = literal(data.get(base + at as usize..)?)?;
                let bytes = ((1_u128 << length) - 1) << at;
                let end = 1_u128 << length << at;
                literals |= bytes as u64;
                ends |= end as u64;
                carry.literal[0] |= (bytes >> 64) as u64;
                carry.literal[1] |= (end >> 64) as u64;
                rest &= rest - 1;
            }
            others &= !literals;
            numbers.e = lowered.equal(b'e') & others;
            numbers.plus = block.equal(b'+') & others;
            if others & !(numbers.e | numbers.plus) != 0 {
                return None;
            }
        }
    }
    let number_ends = carry.numbers.follow(number_starts, &numbers)?;
    ((number_ends | ends) & scalars == 0).then_some(())
}

fn literal(bytes: &[u8]) -> Option<u32> {
    if bytes.starts_with(b"true") || bytes.starts_with(b"null") {
        Some(4)
    } else if bytes.starts_with(b"false") {
        Some(5)
    } else {
        None
    }
}

impl Numbers {
    /// The places after the numbers that begin at `starts`. `None` if one lacks digits.
    #[inline(always)]
    fn follow(&mut self, starts: u64, found: &Digits) -> Option<u64> {
        let Digits {
            digit,
            zero,
            minus,
            plus,
            dot,
            e,
        } = found;
        let first = starts & !minus | next(starts & minus, &mut self.minus);
        let mut wrong = first & !digit | next(first & zero, &mut self.zero) & digit;
        let integer = scan(first, *digit, &mut self.integer);
        let fraction = next(integer & dot, &mut self.dot);
        wrong |= fraction & !digit;
        let mut end = integer & !dot | scan(fraction, *digit, &mut self.fraction);
        if end & e | self.e | self.sign | self.exponent != 0 {
            let after_e = next(end & e, &mut self.e);
            let signed = plus | minus;
            let exponent = after_e & !signed | next(after_e & signed, &mut self.sign);
            wrong |= exponent & !digit;
            end = end & !e | scan(exponent, *digit, &mut self.exponent);
        }
        (wrong == 0).then_some(end)
    }
}

impl Nesting {
    /// Which bytes stand in objects, not arrays, and where the value ends, if it does. `None` if brackets do not
    /// fit, or nest too deep.
    #[inline(always)]
    fn follow(&mut self, bytes: &[u8; 64], opening: u64, closing: u64) -> Option<(u64, Option<u32>)> {
        let mut in_object = self.object;
        let mut brackets = opening | closing;
        while brackets != 0 {
            let at = brackets.trailing_zeros();
            let curly = if bytes[at as usize % 64] & 0x20 == 0 {
                0
            } else {
                u64::MAX
            };
            let inner = self.object;
            if opening >> at & 1 == 1 {
                *self.outer.get_mut(self.depth)? = inner != 0;
                self.depth += 1;
                self.object = curly;
            } else {
                if curly != inner || self.depth == self.bottom {
                    return None;
                }
                self.depth -= 1;
                if self.depth == self.bottom {
                    return Some((in_object, Some(at)));
                }
                self.object = if *self.outer.get(self.depth)? { u64::MAX } else { 0 };
            }
            in_object ^= (inner ^ self.object) & u64::MAX << at << 1;
            brackets &= brackets - 1;
        }
        Some((in_object, None))
    }
}
