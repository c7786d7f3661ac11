//! A strict JSON scanner: it checks every byte, finds where values begin and end, and builds nothing.

#[cfg(target_arch = "x86_64")]
mod blocks;
mod error;
mod number;
mod quick;
#[cfg(target_arch = "x86_64")]
mod simd;
#[cfg(all(test, target_arch = "x86_64"))]
mod tests;
mod text;

pub use error::{JsonError, Kind, Reason};
pub(crate) use text::is_plain;
pub use text::{push_escaped, push_string};

use std::borrow::Cow;
use std::ops::Range;

/// The data as text.
fn text_of(data: &[u8]) -> Result<&str, JsonError> {
    #[cfg(target_arch = "x86_64")]
    if let Some(text) = simd::ascii(data) {
        return Ok(text);
    }
    std::str::from_utf8(data).map_err(|error| JsonError {
        offset: error.valid_up_to(),
        reason: Reason::Encoding,
    })
}

/// How deep arrays and objects may nest.
pub const MAX_DEPTH: usize = 256;

/// A string as it stands in the data, between its quotes; its escapes are known to be valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Raw<'a> {
    /// The text between the quotes.
    pub text: &'a str,
    /// Whether it holds escapes.
    pub escaped: bool,
}

impl<'a> Raw<'a> {
    /// The text that it stands for.
    pub fn decode(self) -> Cow<'a, str> {
        if self.escaped {
            Cow::Owned(text::unescape(self.text))
        } else {
            Cow::Borrowed(self.text)
        }
    }
}

/// A place in JSON data.
///
/// ```
/// use purista_core::json::Scanner;
/// let mut scanner = Scanner::new(br#"{"a": [1, "x"]}"#)?;
/// scanner.object(|scanner, key| {
///     assert_eq!((key.text, scanner.skip()?), ("a", 6..14));
///     Ok::<_, purista_core::json::JsonError>(())
/// })?;
/// scanner.end()?;
/// # Ok::<_, purista_core::json::JsonError>(())
/// ```
#[derive(Debug)]
pub struct Scanner<'a> {
    text: &'a str,
    position: usize,
    depth: usize,
}

impl<'a> Scanner<'a> {
    /// A scanner at the start of the data.
    ///
    /// # Errors
    /// If the data is not UTF-8.
    pub fn new(data: &'a [u8]) -> Result<Self, JsonError> {
        Ok(Self {
            text: text_of(data)?,
            position: 0,
            depth: 0,
        })
    }

    /// The byte after what was read last.
    pub fn offset(&self) -> usize {
        self.position
    }

    /// The text of this range, empty if it is none.
    pub fn slice(&self, range: Range<usize>) -> &'a str {
        self.text.get(range).unwrap_or_default()
    }

    /// What the next value is. Reads the white space before it.
    ///
    /// # Errors
    /// If no value can begin here.
    pub fn kind(&mut self) -> Result<Kind, JsonError> {
        match self.next_token() {
            Some(b'n') => Ok(Kind::Null),
            Some(b't' | b'f') => Ok(Kind::Bool),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            Some(b'"') => Ok(Kind::String),
            Some(b'[') => Ok(Kind::Array),
            Some(b'{') => Ok(Kind::Object),
            _ => Err(self.expected("a value")),
        }
    }

    /// Reads a string.
    ///
    /// # Errors
    /// If there is none, or it is not valid.
    pub fn string(&mut self) -> Result<Raw<'a>, JsonError> {
        if self.next_token() != Some(b'"') {
            return Err(self.expected("a string"));
        }
        let start = self.position + 1;
        let (end, escaped) = text::find_end(self.text.as_bytes(), start)?;
        self.position = end + 1;
        Ok(Raw {
            text: self.text.get(start..end).unwrap_or_default(),
            escaped,
        })
    }

    /// Reads `true` or `false`.
    ///
    /// # Errors
    /// If it is something else.
    pub fn boolean(&mut self) -> Result<bool, JsonError> {
        let value = self.next_token() == Some(b't');
        self.literal(if value { "true" } else { "false" })?;
        Ok(value)
    }

    /// Reads an object: calls `member` with each key; it must read the value.
    ///
    /// # Errors
    /// What is wrong with the object, or what `member` returns.
    pub fn object<E: From<JsonError>>(
        &mut self,
        mut member: impl FnMut(&mut Self, Raw<'a>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.members(|scanner| {
            let key = scanner.key()?;
            member(scanner, key)
        })
    }

    /// Reads an object: calls `member` where each key should begin; it must read key and value.
    ///
    /// # Errors
    /// What is wrong with the object, or what `member` returns.
    pub fn members<E: From<JsonError>>(
        &mut self,
        mut member: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.next_token() != Some(b'{') {
            return Err(self.expected("an object").into());
        }
        if self.depth >= MAX_DEPTH {
            return Err(self.error(Reason::Depth).into());
        }
        self.depth += 1;
        self.position += 1;
        if self.next_token() == Some(b'}') {
            self.position += 1;
        } else {
            loop {
                member(self)?;
                match self.next_token() {
                    Some(b',') => self.position += 1,
                    Some(b'}') => break self.position += 1,
                    _ => return Err(self.expected("',' or '}'").into()),
                }
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// Reads any value and says where it stands.
    ///
    /// # Errors
    /// If it is not valid.
    pub fn skip(&mut self) -> Result<Range<usize>, JsonError> {
        self.next_token();
        let start = self.position;
        if let Some(end) = self.find_end() {
            self.position = end;
            return Ok(start..end);
        }
        self.skip_by_bytes()
    }

    /// The byte after the array or object that begins here, found many bytes at a time. `None` if it is not valid,
    /// or this processor cannot.
    fn find_end(&self) -> Option<usize> {
        #[cfg(target_arch = "x86_64")]
        if let [b'{' | b'[', inner, ..] = self.text.as_bytes().get(self.position..)? {
            if matches!(inner, b'}' | b']') {
                return None;
            }
            return simd::find_end(self.text.as_bytes(), self.position, self.depth);
        }
        None
    }

    /// As [`Self::skip`], for values of all kinds and for all processors. Finds out what is wrong.
    fn skip_by_bytes(&mut self) -> Result<Range<usize>, JsonError> {
        let start = self.position;
        let bottom = self.depth;
        let mut open = Open::default();
        loop {
            match self.kind()? {
                kind @ (Kind::Object | Kind::Array) => {
                    if self.depth >= MAX_DEPTH {
                        return Err(self.error(Reason::Depth));
                    }
                    let object = kind == Kind::Object;
                    self.position += 1;
                    if self.next_token() == Some(if object { b'}' } else { b']' }) {
                        self.position += 1;
                    } else {
                        open.set(self.depth, object);
                        self.depth += 1;
                        if object {
                            self.key()?;
                        }
                        continue;
                    }
                }
                Kind::String => _ = self.string()?,
                Kind::Number => self.position = number::find_end(self.text.as_bytes(), self.position)?,
                Kind::Bool => _ = self.boolean()?,
                Kind::Null => self.literal("null")?,
            }
            // The value is read: close what ends here, up to the next value.
            loop {
                if self.depth == bottom {
                    return Ok(start..self.position);
                }
                let object = open.get(self.depth - 1);
                match self.next_token() {
                    Some(b',') => {
                        self.position += 1;
                        if object {
                            self.key()?;
                        }
                        break;
                    }
                    Some(b'}') if object => {}
                    Some(b']') if !object => {}
                    _ => return Err(self.expected(if object { "',' or '}'" } else { "',' or ']'" })),
                }
                self.position += 1;
                self.depth -= 1;
            }
        }
    }

    /// Reads any value and forgets it.
    ///
    /// # Errors
    /// If it is not valid.
    pub fn ignore(&mut self) -> Result<(), JsonError> {
        self.skip().map(|_| ())
    }

    /// Makes sure that nothing but white space is left.
    ///
    /// # Errors
    /// If there is.
    pub fn end(&mut self) -> Result<(), JsonError> {
        match self.next_token() {
            None => Ok(()),
            Some(_) => Err(self.error(Reason::Trailing)),
        }
    }

    /// Reads a key and the colon after it.
    ///
    /// # Errors
    /// If there is none, or it is not valid.
    pub fn key(&mut self) -> Result<Raw<'a>, JsonError> {
        if self.next_token() != Some(b'"') {
            return Err(self.expected("a string as key"));
        }
        let key = self.string()?;
        if self.next_token() != Some(b':') {
            return Err(self.expected("':'"));
        }
        self.position += 1;
        Ok(key)
    }

    fn literal(&mut self, word: &'static str) -> Result<(), JsonError> {
        let found = self.text.as_bytes().iter().skip(self.position).zip(word.bytes());
        let matching = found.take_while(|(found, wanted)| *found == wanted).count();
        if matching == word.len() {
            self.position += matching;
            return Ok(());
        }
        self.position += matching;
        Err(self.expected(word))
    }

    fn next_token(&mut self) -> Option<u8> {
        loop {
            let byte = *self.text.as_bytes().get(self.position)?;
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(byte);
            }
            self.position += 1;
        }
    }

    fn expected(&self, what: &'static str) -> JsonError {
        let end = self.position >= self.text.len();
        self.error(if end { Reason::End } else { Reason::Expected(what) })
    }

    fn error(&self, reason: Reason) -> JsonError {
        JsonError {
            offset: self.position,
            reason,
        }
    }
}

/// One bit for each open array (0) or object (1).
#[derive(Default)]
struct Open([u64; MAX_DEPTH / 64]);

impl Open {
    fn set(&mut self, depth: usize, object: bool) {
        let (word, bit) = (&mut self.0[depth / 64 % 4], depth % 64);
        *word = *word & !(1 << bit) | u64::from(object) << bit;
    }

    fn get(&self, depth: usize) -> bool {
        self.0[depth / 64 % 4] >> (depth % 64) & 1 == 1
    }
}

/// Checks that the data is exactly one JSON value.
///
/// # Errors
/// If it is not.
pub fn check(data: &[u8]) -> Result<(), JsonError> {
    check_within(data, 0)
}

/// Checks that the data is one JSON value that may stand `depth` levels deep in another.
///
/// # Errors
/// If it is not.
pub fn check_within(data: &[u8], depth: usize) -> Result<(), JsonError> {
    let mut scanner = Scanner::new(data)?;
    scanner.depth = depth;
    scanner.skip()?;
    scanner.end()
}
