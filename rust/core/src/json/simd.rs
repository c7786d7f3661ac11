//! [`Block`]s in the vector registers of x86-64.
// Casts keep the bits: bytes and masks are signed here. All is inlined into a function with the features.
#![allow(
    unsafe_code,
    clippy::inline_always,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::cast_possible_truncation
)]

use std::arch::x86_64::{
    __m128i, __m256i, _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_min_epu8, _mm256_movemask_epi8,
    _mm256_or_si256, _mm256_set1_epi8, _mm256_sub_epi8, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_min_epu8,
    _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8, _mm_sub_epi8,
};

use super::blocks::{self, Block};

/// As [`blocks::find_end`], with what the processor has.
pub fn find_end(data: &[u8], start: usize, depth: usize) -> Option<usize> {
    if is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
    {
        // SAFETY: the processor has these features.
        return unsafe { with_avx2(data, start, depth) };
    }
    blocks::find_end::<Sse2>(data, start, depth)
}

/// The data as text if it is ASCII: that is seen in half the time that the general check takes.
pub fn ascii(data: &[u8]) -> Option<&str> {
    // SAFETY: ASCII is UTF-8.
    data.is_ascii()
        .then(|| unsafe { std::str::from_utf8_unchecked(data) })
}

/// Which of the bytes are quotes, backslashes or control characters.
#[inline]
pub fn special(bytes: &[u8; 16]) -> u32 {
    // SAFETY: SSE2 is part of x86-64; the load takes 16 bytes, of any alignment.
    unsafe {
        let bytes = _mm_loadu_si128(bytes.as_ptr().cast());
        let quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"' as i8));
        let backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\' as i8));
        let control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
        _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, backslash), control)) as u32
    }
}

#[target_feature(enable = "avx2,bmi1,bmi2")]
unsafe fn with_avx2(data: &[u8], start: usize, depth: usize) -> Option<usize> {
    blocks::find_end::<Avx2>(data, start, depth)
}

/// As [`find_end`], both ways, for tests.
#[cfg(test)]
pub fn both(data: &[u8], start: usize, depth: usize) -> [Option<usize>; 2] {
    [
        blocks::find_end::<Sse2>(data, start, depth),
        find_end(data, start, depth),
    ]
}

/// Every x86-64 has SSE2.
struct Sse2([__m128i; 4]);

/// Only made and used in [`with_avx2`].
struct Avx2([__m256i; 2]);

/// A [`Block`] of registers. No closures: they would not have the features of the function around them.
macro_rules! block {
    ($block:ident, $size:literal, $part:ty, $mask:ty, [$($n:literal),+],
     $load:ident, $set:ident, $equal:ident, $sub:ident, $min:ident, $or:ident, $bits:ident) => {
        impl Block for $block {
            #[inline(always)]
            fn load(bytes: &[u8; 64]) -> Self {
                let start: *const $part = bytes.as_ptr().cast();
                // SAFETY: the processor has the feature, see the type; the parts make up 64 bytes, of any alignment.
                unsafe { Self([$($load(start.add($n))),+]) }
            }

            #[inline(always)]
            fn equal(&self, byte: u8) -> u64 {
                // SAFETY: the processor has the feature, see the type.
                unsafe {
                    let wanted = $set(byte as i8);
                    0 $(| u64::from($bits($equal(self.0[$n], wanted)) as $mask) << ($size * $n))+
                }
            }

            #[inline(always)]
            fn within(&self, first: u8, more: u8) -> u64 {
                // SAFETY: the processor has the feature, see the type.
                unsafe {
                    let (first, more) = ($set(first as i8), $set(more as i8));
                    0 $(| {
                        let above = $sub(self.0[$n], first);
                        u64::from($bits($equal($min(above, more), above)) as $mask) << ($size * $n)
                    })+
                }
            }

            #[inline(always)]
            fn lowered(&self) -> Self {
                // SAFETY: the processor has the feature, see the type.
                unsafe {
                    let bit = $set(0x20);
                    Self([$($or(self.0[$n], bit)),+])
                }
            }
        }
    };
}

block!(
    Sse2,
    16,
    __m128i,
    u16,
    [0, 1, 2, 3],
    _mm_loadu_si128,
    _mm_set1_epi8,
    _mm_cmpeq_epi8,
    _mm_sub_epi8,
    _mm_min_epu8,
    _mm_or_si128,
    _mm_movemask_epi8
);
block!(
    Avx2,
    32,
    __m256i,
    u32,
    [0, 1],
    _mm256_loadu_si256,
    _mm256_set1_epi8,
    _mm256_cmpeq_epi8,
    _mm256_sub_epi8,
    _mm256_min_epu8,
    _mm256_or_si256,
    _mm256_movemask_epi8
);
