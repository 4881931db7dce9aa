//! What is wrong with an archive, in words that say it.

use std::io;

/// An error of reading a tar archive. Those of the crate `tar` speak of blocks and fields, and quote what they couldn't
/// read, lines and all.
pub fn archive_error(e: io::Error) -> io::Error {
    let said = e.to_string();
    let has = |words: &[&str]| words.iter().any(|w| said.contains(w));
    let (kind, words) = if has(&["numeric field was not a number", "archive header checksum mismatch"]) {
        (io::ErrorKind::InvalidData, "it isn't a tar archive, or it is damaged")
    } else if e.kind() == io::ErrorKind::UnexpectedEof
        || has(&["failed to read entire block", "unexpected EOF during skip", "incomplete deflate stream"])
    {
        (io::ErrorKind::UnexpectedEof, "it ends too early: it isn't whole")
    } else {
        return e;
    };
    io::Error::new(kind, words)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn said(bytes: &[u8]) -> String {
        let reader = crate::stream::decompressed(std::io::Cursor::new(bytes.to_vec())).unwrap();
        let mut archive = tar::Archive::new(reader);
        let read = || -> io::Result<()> {
            for member in archive.entries()? {
                member?.read_to_end(&mut Vec::new())?;
            }
            Ok(())
        };
        archive_error({ read }().unwrap_err()).to_string()
    }

    #[test]
    fn of_what_is_none_and_of_what_is_cut_short() {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(5000);
        header.set_cksum();
        tar.append_data(&mut header, "file", [7; 5000].as_slice()).unwrap();
        let whole = tar.into_inner().unwrap();
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        io::Write::write_all(&mut gz, &whole).unwrap();
        let gz = gz.finish().unwrap();
        for cut in [&whole[..100], &whole[..3000], &gz[..gz.len() / 2]] {
            assert_eq!(said(cut), "it ends too early: it isn't whole", "{}", cut.len());
        }
        let lines = "root:x:0:0:root:/root:/bin/sh\n".repeat(40);
        let mut wrong = whole;
        wrong[0] ^= 1;
        for other in [lines.as_bytes(), &wrong] {
            assert_eq!(said(other), "it isn't a tar archive, or it is damaged");
        }
        assert_eq!(archive_error(io::Error::other("gone")).to_string(), "gone");
    }
}
