//! Tests of framing: a stream yields the same lines, no matter where each read ends.

use super::*;

const LIMIT: usize = 8;

/// Decodes a stream that arrives in these chunks. Returns all frames as text, so that they are easy to compare.
fn received<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
    let mut framing = LineDecoder::new(LIMIT);
    let mut all = Vec::new();
    for mut chunk in chunks {
        while let Some(item) = framing.next(&mut chunk) {
            all.push(format!("{item:?}"));
        }
        assert!(chunk.is_empty(), "a chunk is taken whole");
        assert!(framing.held.len() <= LIMIT + 1, "no more is held than a line may have");
    }
    all.extend(framing.finish().map(|item| format!("{item:?}")));
    assert_eq!(framing.finish(), None, "an ended stream has nothing more");
    all
}

#[test]
fn a_line_of_the_limit_passes_and_one_byte_more_does_not() {
    assert_eq!(received([&b"12345678\n"[..]]), [r#"Line("12345678")"#]);
    assert_eq!(received([&b"12345678\r\n"[..]]), [r#"Line("12345678")"#]);
    assert_eq!(received([&b"123456789\n"[..]]), ["TooLong { bytes: 9 }"]);
    assert_eq!(received([&b"123456789\r\n"[..]]), ["TooLong { bytes: 9 }"]);
    assert_eq!(
        received([&b"123456789012\r"[..], b"\n1"]),
        ["TooLong { bytes: 12 }", r#"Line("1")"#]
    );
}

#[test]
fn telnet_sequences_are_taken_out_and_do_not_count() {
    assert_eq!(
        received([&b"\xff\xfb\x1f12\xff\xfa\x1f\x00\x50\xff\xf0345678\r\n"[..]]),
        [r#"Line("12345678")"#]
    );
    assert_eq!(received([&b"\xff\xf4\xff\xfd\x06hi\n"[..]]), ["TimingMark", r#"Line("hi")"#]);
}

#[test]
fn an_incomplete_telnet_sequence_is_not_utf8_and_ends_with_its_line() {
    for cut in [&b"\xff"[..], b"\xff\xfd", b"\xff\xfa\x1f", b"\xff\xfa\x1f\xff", b"\xff\xff"] {
        let stream = [b"a", cut, b"\nok\n"].concat();
        assert_eq!(received([&stream[..]]), ["NotUtf8", r#"Line("ok")"#], "{cut:?}");
        assert_eq!(received([cut]), ["NotUtf8"], "{cut:?} at the end of the stream");
    }
    assert_eq!(received([&b"\xff\xfe\n"[..]]), ["NotUtf8"]);
}

#[test]
fn a_transcript_means_the_same_wherever_it_is_split() {
    let transcript = "hi\n\r\n\nñandú\r\nüberlang, zu lang\n\rx\r\r\n".bytes();
    let transcript: Vec<u8> = transcript
        .chain(*b"\xff\xfd\x06a\xff\xfb\x01b\n\xc3\n\xff\xfe\n\xff\xfa\n12345678\r\nend")
        .collect();
    let whole = received([&transcript[..]]);
    assert_eq!(whole.len(), 13);
    assert_same_wherever_split(&transcript, &whole);
}

/// Checks every split of the stream into three pieces, and the stream byte by byte.
fn assert_same_wherever_split(transcript: &[u8], whole: &[String]) {
    for first in 0..=transcript.len() {
        for second in first..=transcript.len() {
            let pieces = [&transcript[..first], &transcript[first..second], &transcript[second..]];
            assert_eq!(received(pieces), whole, "split at {first} and {second}");
        }
    }
    assert_eq!(received(transcript.chunks(1)), whole);
}

#[test]
fn carriage_return_and_nul_end_a_line() {
    assert_eq!(
        received([&b"hi\r\0\r\0ho\r\0"[..]]),
        ["Line(\"hi\")", "Line(\"\")", "Line(\"ho\")"]
    );
    assert_eq!(
        received([&b"12345678\r\x00123456789\r\0"[..]]),
        ["Line(\"12345678\")", "TooLong { bytes: 9 }"]
    );
    // Only the two together end a line. A NUL alone and a carriage return alone are text, which cleaning
    // replaces.
    assert_eq!(received([&b"a\0\rb\n"[..]]), [r#"Line("a\0\rb")"#]);
    assert_eq!(received([&b"\0\n"[..]]), [r#"Line("\0")"#]);
}

#[test]
fn carriage_return_after_a_line_feed_belongs_to_the_line_end() {
    assert_eq!(
        received([&b"a\n\rb\n\r\0c\n\r"[..]]),
        ["Line(\"a\")", "Line(\"b\")", "Line(\"c\")"]
    );
    assert_eq!(
        received([&b"a\n\r12345678\n\r123456789\r\n"[..]]),
        ["Line(\"a\")", "Line(\"12345678\")", "TooLong { bytes: 9 }"]
    );
    // After text, the carriage return stays, even after text that is not UTF-8.
    assert_eq!(received([&b"a\n\xff\xff\r1234567\n"[..]]), ["Line(\"a\")", "TooLong { bytes: 9 }"]);
    // Only one carriage return is dropped, and only after a line feed.
    assert_eq!(received([&b"\ra\n\r\rb\n"[..]]), [r#"Line("\ra")"#, r#"Line("\rb")"#]);
    assert_eq!(received([&b"a\n\r\n"[..]]), ["Line(\"a\")", "Line(\"\")"]);
}

#[test]
fn a_byte_order_mark_is_dropped_at_the_start_of_the_stream_only() {
    assert_eq!(
        received([&b"\xef\xbb\xbf12345678\n\xef\xbb\xbfb\n"[..]]),
        [r#"Line("12345678")"#, r#"Line("\u{feff}b")"#]
    );
    assert_eq!(received([&b"\xff\xfb\x1f\xef\xbb\xbfa\n"[..]]), [r#"Line("a")"#]);
    assert_eq!(received([&b"\xef\xbb\xbf"[..]]), [""; 0]);
    assert_eq!(received([&b"\xef\xbb\xbf\n"[..]]), [r#"Line("")"#]);
    // The start of a byte order mark is text if the rest of the mark does not follow.
    assert_eq!(received([&b"\xef\xbb\xbe\n"[..]]), [r#"Line("\u{fefe}")"#]);
    assert_eq!(received([&b"\xef\xbb\n"[..]]), ["NotUtf8"]);
    assert_eq!(received([&b"\xef\xbb"[..]]), ["NotUtf8"]);
}

#[test]
fn every_line_end_and_mark_means_the_same_wherever_it_is_split() {
    for transcript in [
        &b"\xef\xbb\xbfa\r\0b\n\rc\n\r\0d\r\n\r\0\0\r\xff\xf1\0e\n\xff\xf1\r\xff\xf1\0f"[..],
        b"\xff\xfb\x1f\xef\xbb\xbf12345678\r\x00123456789\r\0\n\r12345678\n\r123456789\n\r",
        b"\xef\xbb\r\0\n\r\xef\xbb\xbf\n\r\r\0\r",
        b"\xef\xff\xf1\xbb\xbf\n\n\r\0\0\n",
    ] {
        assert_same_wherever_split(transcript, &received([transcript]));
    }
}

#[test]
fn a_line_end_is_found_at_every_place_and_nothing_else_is() {
    for length in 0..70 {
        for filler in [b'x', b'\t', b'\r', b'\0', 0xFE] {
            let mut text = vec![filler; length];
            assert_eq!(find_end_or_iac(&text, false), None, "{length} of {filler}");
            for at in 0..length {
                for end in [LINE_FEED, IAC] {
                    text[at] = end;
                    assert_eq!(find_end_or_iac(&text, false), Some(at), "{length} of {filler}");
                }
                text[at] = NUL;
                let previous = if at == 0 { None } else { Some(text[at - 1]) };
                let found = (previous == Some(b'\r')).then_some(at);
                assert_eq!(find_end_or_iac(&text, false), found, "{length} of {filler}");
                text[at] = filler;
            }
        }
    }
    assert_eq!(find_end_or_iac(b"\0", true), Some(0));
}

#[test]
fn every_sequence_of_three_awkward_chunks_means_what_the_whole_means() {
    let awkward: [&[u8]; 24] = [
        b"",
        b"\n",
        b"\r",
        b"\r\n",
        b"a",
        b"12345678",
        b"123456789",
        b"a\nb",
        b"\xc3",
        b"\xb1",
        b"\xff",
        b"\xff\xfd",
        b"\x06",
        b"\xff\xfa",
        b"\xff\xf0",
        b"\0",
        b"\r\0",
        b"\n\r",
        b"\xef",
        b"\xbb",
        b"\xbf",
        b"\xef\xbb\xbf",
        b"\xe2\x80\n",
        b"\n\n",
    ];
    for first in awkward {
        for second in awkward {
            for third in awkward {
                let pieces = [first, second, third];
                let whole = pieces.concat();
                assert_eq!(received(pieces), received([&whole[..]]), "{pieces:?}");
            }
        }
    }
}
