//! Lines that travel together in a request.

/// Whole lines, and which chunks of output they are of.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Batch {
    text: Vec<u8>,
    lines: Vec<Line>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Line {
    /// Where it ends in the text.
    end: usize,
    /// The number of its chunk.
    chunk: u64,
}

impl Batch {
    /// Takes a line, with its end.
    pub(super) fn push(&mut self, line: &[u8], chunk: u64) {
        self.text.extend_from_slice(line);
        self.lines.push(Line { end: self.text.len(), chunk });
    }

    /// How many lines it holds.
    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Its bytes.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Its lines, each with its end.
    pub(super) fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.lines.iter().map(|line| line.end));
        starts.zip(&self.lines).map(|(start, line)| &self.text[start..line.end])
    }

    /// The number of each line's chunk.
    pub(super) fn chunks(&self) -> impl Iterator<Item = u64> {
        self.lines.iter().map(|line| line.chunk)
    }

    /// The line of this number by itself; nothing where there is none.
    pub(super) fn one(&self, number: usize) -> Self {
        let mut one = Self::default();
        if let Some(line) = self.lines.get(number) {
            let start = number.checked_sub(1).and_then(|before| self.lines.get(before)).map_or(0, |before| before.end);
            one.push(&self.text[start..line.end], line.chunk);
        }
        one
    }

    /// The lines for which `wanted` holds, by their number.
    pub(super) fn pick(&self, wanted: impl Fn(usize) -> bool) -> Self {
        let mut picked = Self::default();
        for (number, (line, chunk)) in self.lines().zip(self.chunks()).enumerate() {
            if wanted(number) {
                picked.push(line, chunk);
            }
        }
        picked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_their_chunks() {
        let mut batch = Batch::default();
        for (line, chunk) in [("a\n", 1), ("bb\n", 1), ("c\n", 2)] {
            batch.push(line.as_bytes(), chunk);
        }
        assert_eq!(batch.lines().collect::<Vec<_>>(), [&b"a\n"[..], b"bb\n", b"c\n"]);
        for (number, line) in batch.lines().enumerate() {
            assert_eq!(batch.one(number), batch.pick(|other| other == number));
            assert_eq!(batch.one(number).text(), line);
        }
        assert!(batch.one(3).is_empty());
        let rest = batch.pick(|number| number != 1);
        assert_eq!((rest.text(), rest.chunks().collect::<Vec<_>>()), (&b"a\nc\n"[..], vec![1, 2]));
    }
}
