//! A stack that needs the heap only when it grows beyond what most look-ups need.

const INLINE: usize = 16;

/// A stack of numbers, the first of them without the heap.
#[derive(Debug, Default)]
pub struct Few<T> {
    inline: [T; INLINE],
    len: usize,
    more: Vec<T>,
}

impl<T: Copy + Default> Few<T> {
    pub fn len(&self) -> usize {
        self.len + self.more.len()
    }

    pub fn get(&self, n: usize) -> Option<T> {
        if n < self.len {
            self.inline.get(n).copied()
        } else {
            self.more.get(n - self.len).copied()
        }
    }

    pub fn push(&mut self, value: T) {
        if let Some(place) = self.inline.get_mut(self.len) {
            *place = value;
            self.len += 1;
        } else {
            self.more.push(value);
        }
    }

    pub fn pop(&mut self) -> Option<T> {
        self.more.pop().or_else(|| {
            self.len = self.len.checked_sub(1)?;
            self.inline.get(self.len).copied()
        })
    }
}
