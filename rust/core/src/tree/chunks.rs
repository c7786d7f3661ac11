//! A vector and a text that grow by chunks: they never move, and so leave no hole as large as themselves behind
//! in the heap.

const BITS: u32 = 10;
const CHUNK: usize = 1 << BITS;

/// A vector that never moves but for its first items.
#[derive(Debug)]
pub struct Chunks<T>(Vec<Vec<T>>);

impl<T> Default for Chunks<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Chunks<T> {
    pub fn len(&self) -> usize {
        self.0
            .last()
            .map_or(0, |last| (self.0.len() - 1) * CHUNK + last.len())
    }

    pub fn push(&mut self, item: T) {
        match self.0.last_mut() {
            Some(last) if last.len() < CHUNK => last.push(item),
            Some(_) => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(item);
                self.0.push(chunk);
            }
            None => self.0.push(vec![item]),
        }
    }

    pub fn get_mut(&mut self, n: u32) -> Option<&mut T> {
        self.0.get_mut((n >> BITS) as usize)?.get_mut(n as usize % CHUNK)
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flatten()
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut().flatten()
    }
}

impl<T> std::ops::Index<u32> for Chunks<T> {
    type Output = T;

    fn index(&self, n: u32) -> &T {
        &self.0[(n >> BITS) as usize][n as usize % CHUNK]
    }
}

impl<T> std::ops::IndexMut<u32> for Chunks<T> {
    fn index_mut(&mut self, n: u32) -> &mut T {
        &mut self.0[(n >> BITS) as usize][n as usize % CHUNK]
    }
}

const PAGE_BITS: u32 = 16;
const PAGE: usize = 1 << PAGE_BITS;

/// Pieces of text, each shorter than 64 KiB, that are known by where they begin.
#[derive(Debug, Default)]
pub struct Pages(Vec<String>);

impl Pages {
    /// Keeps a piece and tells where it begins. Two pages that follow each other hold more than 64 KiB, so that
    /// 2 GiB of text have numbers.
    pub fn push(&mut self, text: &str) -> u32 {
        match self.0.last() {
            Some(page) if page.len() + text.len() <= PAGE => {}
            Some(_) => self.0.push(String::with_capacity(PAGE)),
            None => self.0.push(String::new()),
        }
        let page = self.0.len() - 1;
        let last = &mut self.0[page];
        let start = page << PAGE_BITS | last.len();
        last.push_str(text);
        u32::try_from(start).unwrap_or_default()
    }

    pub fn get(&self, start: u32, len: u16) -> &str {
        let at = start as usize % PAGE;
        &self.0[(start >> PAGE_BITS) as usize][at..at + usize::from(len)]
    }
}
