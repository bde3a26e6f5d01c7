//! Lines of one input on their way to the decoders: header lines are taken out, and the rest goes with the format in
//! force.

use std::sync::Arc;

use super::lines::Lines;
use crate::decode::{Detected, Format, RawBatch, TsvHeader, detect};

/// Cuts the lines of one input into batches of one format each.
///
/// A tab-separated log may hold several headers, since archives are joined; what stands between two of them is one batch.
#[derive(Debug)]
pub struct Splitter {
    /// The input's file name, which decides between logs whose fields fit several.
    name: Box<str>,
    format: Option<Format>,
    /// Header lines that may go on.
    header: Vec<u8>,
}

/// Longest header that is read, in bytes.
const MAX_HEADER: usize = 1024 * 1024;

impl Splitter {
    /// A splitter for an input of that file name. `format` is what its head was found to be.
    pub fn new(name: &str, format: Option<Format>) -> Self {
        Self { name: name.into(), format, header: Vec::new() }
    }

    /// Takes the header lines of a file that is read from its middle on.
    pub fn set_header(&mut self, header: &[u8]) {
        if self.format.is_none()
            && let Some(header) = TsvHeader::parse(header, &self.name)
        {
            self.format = Some(Format::ZeekTsv(Arc::new(header)));
        }
    }

    /// The format in force; `None` while no line has shown it.
    pub fn format(&self) -> Option<&Format> {
        self.format.as_ref()
    }

    /// Cuts whole lines; calls `out` with the batches in their order.
    pub fn split(&mut self, lines: Lines, out: &mut dyn FnMut(RawBatch)) {
        let Lines { bytes, offset, oversize } = lines;
        if oversize.is_some() {
            let format = self.format.clone().unwrap_or(Format::Unknown);
            // A first line that is too long shows nothing of the lines that follow.
            if matches!(self.format, Some(Format::Unknown)) {
                self.format = None;
            }
            return out(RawBatch { bytes, offset, format, oversize });
        }
        // Where the next part begins. Parts are copied out: each is as large as its lines, and none is moved twice.
        let mut start = 0;
        if offset == 0 && bytes.starts_with(b"\xef\xbb\xbf") && bytes.get(3) == Some(&b'#') {
            start = 3;
        }
        if self.format.is_none()
            && let Detected::Format(format) = detect(&bytes, &self.name)
        {
            self.format = Some(format);
        }
        while start < bytes.len() {
            let rest = &bytes[start..];
            if rest[0] == b'#' && matches!(self.format, Some(Format::ZeekTsv(_)) | None) {
                let end = marked_lines(rest);
                self.note_header(&rest[..end]);
                start += end;
                continue;
            }
            self.finish_header();
            let end = match self.format {
                Some(Format::ZeekTsv(_)) | None => memchr::memmem::find(rest, b"\n#").map_or(rest.len(), |at| at + 1),
                _ => rest.len(),
            };
            let format = self.format.clone().unwrap_or(Format::Unknown);
            let part_offset = offset + start as u64;
            if start == 0 && end == bytes.len() {
                return out(RawBatch { bytes, offset: part_offset, format, oversize: None });
            }
            out(RawBatch { bytes: rest[..end].to_vec(), offset: part_offset, format, oversize: None });
            start += end;
        }
    }

    /// Keeps header lines until a row shows that they are all there. A line that names the separator begins a header:
    /// what came before it, of parts without a row, does not matter any more.
    fn note_header(&mut self, lines: &[u8]) {
        let begins = |lines: &[u8]| match memchr::memmem::rfind(lines, b"\n#separator ") {
            Some(at) => Some(at + 1),
            None => lines.starts_with(b"#separator ").then_some(0),
        };
        let lines = match begins(lines) {
            Some(at) => {
                self.header.clear();
                &lines[at..]
            }
            None => lines,
        };
        if self.header.len() + lines.len() <= MAX_HEADER {
            self.header.extend_from_slice(lines);
        }
    }

    fn finish_header(&mut self) {
        if self.header.is_empty() {
            return;
        }
        let block = std::mem::take(&mut self.header);
        let Some(header) = TsvHeader::parse_block(&block, &self.name) else { return };
        // Joined files usually repeat one header: then it is kept, and with it what was worked out from it.
        let same = matches!(&self.format, Some(Format::ZeekTsv(known)) if **known == header);
        if !same {
            self.format = Some(Format::ZeekTsv(Arc::new(header)));
        }
    }
}

/// The length of the lines at the start that begin with `#`.
fn marked_lines(bytes: &[u8]) -> usize {
    let mut end = 0;
    while bytes.get(end) == Some(&b'#') {
        end += memchr::memchr(b'\n', &bytes[end..]).map_or(bytes.len() - end, |at| at + 1);
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Log;

    fn split(chunks: &[&str]) -> Vec<(u64, String, Log)> {
        let mut splitter = Splitter::new("x.log", None);
        let mut offset = 0;
        let mut found = Vec::new();
        for chunk in chunks {
            let lines = Lines { bytes: chunk.as_bytes().to_vec(), offset, oversize: None };
            offset += chunk.len() as u64;
            splitter.split(lines, &mut |raw| {
                found.push((raw.offset, String::from_utf8(raw.bytes).unwrap(), raw.format.log()));
            });
        }
        found
    }

    #[test]
    fn many_parts_of_one_batch_take_the_memory_of_their_own_lines() {
        let text = format!("#fields\tts\tuid\tcipher\n{}", "1\ta\tb\n#close\n".repeat(20_000));
        let mut splitter = Splitter::new("x.log", None);
        let (mut parts, mut capacity) = (0, 0);
        splitter.split(Lines { bytes: text.clone().into_bytes(), offset: 0, oversize: None }, &mut |raw| {
            parts += 1;
            capacity += raw.bytes.capacity();
        });
        assert_eq!(parts, 20_000);
        assert!(capacity <= text.len(), "{capacity}");
    }

    #[test]
    fn headers_of_empty_parts_do_not_crowd_out_the_one_that_counts() {
        let empty = format!("#separator \\x09\n#path\tssl\n#fields\tts\tuid\n#close\t{}\n", "x".repeat(1000));
        let last = "#separator \\x09\n#path\tx509\n#fields\tts\tid\n3\tc\n";
        let text = empty.repeat(1100) + last;
        let parts = split(&text.split_inclusive('\n').collect::<Vec<_>>());
        assert_eq!(parts.len(), 1);
        assert_eq!(parts[0].2, Log::ZeekX509);
        assert_eq!(split(&[&text]), parts);
    }

    #[test]
    fn each_part_of_a_joined_archive_goes_with_its_own_header() {
        let text = "#path\tssl\n#fields\tts\tuid\n1\ta\n2\tb\n#close\tx\n#path\tx509\n#fields\tts\tid\n3\tc\n";
        let whole = split(&[text]);
        assert_eq!(whole.len(), 2);
        assert_eq!((whole[0].1.as_str(), whole[0].2), ("1\ta\n2\tb\n", Log::ZeekSsl));
        assert_eq!((whole[1].1.as_str(), whole[1].2), ("3\tc\n", Log::ZeekX509));
        assert_eq!(&text[whole[1].0 as usize..], "3\tc\n");
        // Wherever the reading stops between lines, the parts are the same.
        let cuts: Vec<&str> = text.split_inclusive('\n').collect();
        let joined: String = split(&cuts).into_iter().map(|(_, text, log)| format!("{log} {text}")).collect();
        assert_eq!(joined, "zeek.ssl 1\ta\nzeek.ssl 2\tb\nzeek.x509 3\tc\n");
    }
}
