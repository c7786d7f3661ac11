//! PURISTA's `snake_case`: what a text becomes as a topic level.

/// Words in lower case, joined by `_`; a text without words comes out unchanged.
///
/// Words are what the regular expression
/// `[A-Z]{2,}(?=[A-Z][a-z]+[0-9]*|\b)|[A-Z]?[a-z]+[0-9]*|[A-Z]|[0-9]+` finds (`\b` as in ASCII), in one pass.
///
/// ```
/// assert_eq!(purista_core::snake_case("userSignUp"), "user_sign_up");
/// assert_eq!(purista_core::snake_case("HTTP2"), "h_t_t_p_2");
/// assert_eq!(purista_core::snake_case("+"), "+");
/// ```
pub fn snake_case(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    push_snake_case(&mut out, text);
    out
}

/// Appends the [`snake_case`] of a text.
pub fn push_snake_case(out: &mut String, text: &str) {
    let start = out.len();
    let mut words = Words {
        bytes: text.as_bytes(),
        position: 0,
        upper_end: 0,
    };
    while let Some(word) = words.next_word() {
        if out.len() > start {
            out.push('_');
        }
        out.extend(word.iter().map(|byte| char::from(byte.to_ascii_lowercase())));
    }
    if out.len() == start {
        out.push_str(text);
    }
}

struct Words<'a> {
    bytes: &'a [u8],
    position: usize,
    /// Where the run of capitals ends that was looked at last: kept, since `AAA…1` asks for it at each `A`.
    upper_end: usize,
}

impl<'a> Words<'a> {
    fn next_word(&mut self) -> Option<&'a [u8]> {
        let skipped = self
            .bytes
            .get(self.position..)?
            .iter()
            .position(u8::is_ascii_alphanumeric)?;
        let start = self.position + skipped;
        let end = match self.bytes.get(start)? {
            byte if byte.is_ascii_uppercase() => self.after_capital(start),
            byte if byte.is_ascii_lowercase() => self.after_lower(start),
            _ => self.run(start, u8::is_ascii_digit),
        };
        self.position = end;
        self.bytes.get(start..end)
    }

    fn after_capital(&mut self, start: usize) -> usize {
        if self.upper_end <= start {
            self.upper_end = self.run(start, u8::is_ascii_uppercase);
        }
        let (end, next) = (self.upper_end, self.bytes.get(self.upper_end));
        let boundary = next.is_none_or(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_');
        let lower = next.is_some_and(u8::is_ascii_lowercase);
        match end - start {
            2.. if boundary => end,
            // The last capital begins the next word: `HTTPServer`.
            3.. if lower => end - 1,
            1 if lower => self.after_lower(end),
            _ => start + 1,
        }
    }

    fn after_lower(&self, start: usize) -> usize {
        self.run(self.run(start, u8::is_ascii_lowercase), u8::is_ascii_digit)
    }

    fn run(&self, start: usize, belongs: fn(&u8) -> bool) -> usize {
        start
            + self
                .bytes
                .iter()
                .skip(start)
                .take_while(|byte| belongs(byte))
                .count()
    }
}
