//! Steps for those who know what should come next. Each reads what it expects, or nothing.

use std::ops::Range;

use super::{text, Scanner};

impl Scanner<'_> {
    /// Reads exactly these bytes, if they come next.
    pub fn take(&mut self, bytes: &[u8]) -> bool {
        let rest = self.text.as_bytes().get(self.position..).unwrap_or_default();
        let found = rest.starts_with(bytes);
        if found {
            self.position += bytes.len();
        }
        found
    }

    /// Reads the rest of a string without escapes whose opening quote was read. Reads nothing of another.
    pub fn plain_rest(&mut self) -> Option<Range<usize>> {
        let start = self.position;
        let end = self.plain_end();
        if self.text.as_bytes().get(end) != Some(&b'"') {
            return None;
        }
        self.position = end + 1;
        Some(start..end)
    }

    /// Where the text from here on holds a quote, a backslash or a control character, or ends.
    pub fn plain_end(&self) -> usize {
        text::find_special(self.text.as_bytes(), self.position)
    }

    /// Goes to this byte, which was or will be read.
    pub fn go_to(&mut self, offset: usize) {
        self.position = offset.min(self.text.len());
    }

    /// Reads up to 18 digits that are a whole number. Reads nothing of another.
    pub fn digits(&mut self) -> Option<u64> {
        let rest = self.text.as_bytes().get(self.position..)?;
        let length = rest
            .iter()
            .take(19)
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let (digits, rest) = rest.split_at_checked(length)?;
        let is_whole = matches!(rest.first(), Some(b',' | b'}'));
        if !is_whole || !(1..19).contains(&length) || digits.starts_with(b"0") {
            return None;
        }
        self.position += length;
        Some(
            digits
                .iter()
                .fold(0, |number, digit| number * 10 + u64::from(digit - b'0')),
        )
    }
}
