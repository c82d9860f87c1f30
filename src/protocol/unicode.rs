//! Unicode: four properties of characters that `std` does not have. A character may be a combining mark, be
//! invisible, never occur in composed text, or take two columns of a terminal.
//!
//! Nicknames need the first three of these properties, and cleaning needs the second property. The client needs
//! the first and the last property to count columns, since most marks take no column of their own. `std` has the
//! other properties that this project needs: letters, digits, and upper and lower case.
//!
//! Source: the Unicode Character Database, version 18.0. A program made the tables from the properties
//! `General_Category`, `Canonical_Combining_Class`, `Decomposition_Mapping` and `Default_Ignorable_Code_Point`,
//! and compared the tables with these properties for every code point. The widths come from `EastAsianWidth.txt`.
//! `std` may have an older version of Unicode. A letter that `std` does not know is not a letter here.

/// A range of code points: its first and its last code point.
type Range = (u32, u32);

/// Returns whether a character is a visible combining mark that takes no column (general category Mn
/// or Me).
///
/// Marks that are themselves invisible, such as variation selectors, do not count: see [`is_invisible_mark`].
pub fn is_combining_mark(c: char) -> bool {
    is_in(&NONSPACING_MARKS, c) && !is_invisible_mark(c)
}

/// Returns whether a character is a mark (category Mn or Me) that is itself invisible.
pub fn is_invisible_mark(c: char) -> bool {
    // The two characters at the end are the Khitan filler and a selector of thick strokes. They are not "default
    // ignorable".
    is_in(&NONSPACING_MARKS, c) && is_default_ignorable(c) || matches!(c, '\u{16FE4}' | '\u{1BC9D}')
}

/// Returns whether a character is a mark of any kind (category Mn, Me or Mc).
///
/// `char::is_alphabetic` is true for many of these marks, because it includes vowel signs.
pub fn is_mark(c: char) -> bool {
    is_in(&NONSPACING_MARKS, c) || is_in(&SPACING_MARKS, c)
}

/// Returns whether a character has the property `Default_Ignorable_Code_Point`. A program that does not support
/// such a character shows nothing in its place.
pub fn is_default_ignorable(c: char) -> bool {
    matches!(c,
        '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}'..='\u{1160}' | '\u{17B4}'..='\u{17B5}'
        | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
        | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}'
        | '\u{FFF0}'..='\u{FFF8}' | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}'
        | '\u{E0000}'..='\u{E0FFF}'
    )
}

/// Returns whether a character is two columns wide.
pub fn is_wide(c: char) -> bool {
    is_in(&WIDE, c)
}

/// Returns whether a character never occurs in composed text (Normalization Form C of UAX #15). Such a character
/// is another spelling of other characters: U+2126 (ohm sign) is replaced by the Greek letter omega.
pub fn is_replaced_by_composition(c: char) -> bool {
    is_in(&NOT_COMPOSED, c)
}

/// Returns whether two characters may be another spelling of one character: for example, `e` and U+0301 are
/// another spelling of `é`. The second character directly follows the first, or only marks are between the two
/// characters.
///
/// Returns `true` for all pairs that Normalization Form C composes into one character. To keep the table short,
/// it also returns `true` for other pairs: for a Latin, Greek or Cyrillic letter and any mark from U+0300 to
/// U+036F, and for some pairs that nobody writes.
pub fn may_compose(first: char, second: char) -> bool {
    match second {
        // U+0345 (iota below) is a mark for Greek letters, but its upper case is a letter. So folding would
        // change this mark into a letter. U+0345 counts as composing with every letter, which keeps it out of all
        // nicknames.
        '\u{345}' => first >= 'A',
        '\u{300}'..='\u{36F}' => is_in(&ALPHABETS, first),
        _ => COMPOSING
            .iter()
            .any(|(firsts, seconds)| is_in(&[*firsts], first) && is_in(&[*seconds], second)),
    }
}

fn is_in(table: &[Range], c: char) -> bool {
    let c = u32::from(c);
    let after = table.partition_point(|&(first, _)| first <= c);
    after > 0 && c <= table[after - 1].1
}

/// Parses a table at compile time. The ranges are sorted, and have the format of the Unicode Character Database:
/// `0300-036F` is a range, and `05BF` is a range of one code point. A table that does not have `N` ranges is an
/// error.
const fn table<const N: usize>(text: &str) -> [Range; N] {
    let (mut table, mut count, mut rest) = ([(0, 0); N], 0, text.as_bytes());
    while count < N {
        let first;
        (first, rest) = hexadecimal(rest);
        let mut last = first;
        if let [b'-', after @ ..] = rest {
            (last, rest) = hexadecimal(after);
        }
        table[count] = (first, last);
        count += 1;
        if let [b' ', after @ ..] = rest {
            rest = after;
        }
    }
    assert!(rest.is_empty());
    table
}

/// Parses the hexadecimal number at the start of a text. Returns the number and the rest of the text.
const fn hexadecimal(mut text: &[u8]) -> (u32, &[u8]) {
    let mut number = 0;
    while let [byte, rest @ ..] = text
        && let Some(digit) = (*byte as char).to_digit(16)
    {
        number = number * 16 + digit;
        text = rest;
    }
    assert!(number > 0);
    (number, text)
}

/// Latin, Greek, Cyrillic and Todhri letters. No letters of other scripts compose with marks from U+0300 to
/// U+036F.
const ALPHABETS: [Range; 18] = table(
    "0041-02FF 0370-052F 1C80-1C8F 1D00-1DBF 1E00-1FFF 2071-209F 2126-214E 2160-2188 2C60-2C7F \
     A640-A69F A722-A7FF AB30-AB6F FB00-FB06 FF21-FF5A 105C0-105FF 10780-107BF 1DF00-1DFFF 1E030-1E08F",
);

/// Pairs of ranges for all other scripts: the first characters, and the second characters that may compose with
/// them.
#[rustfmt::skip]
const COMPOSING: &[(Range, Range)] = &[
    // Arabic.
    ((0x0627, 0x0627), (0x0653, 0x0655)), ((0x0648, 0x0648), (0x0654, 0x0654)),
    ((0x064A, 0x064A), (0x0654, 0x0654)), ((0x06C1, 0x06C1), (0x0654, 0x0654)),
    ((0x06D2, 0x06D5), (0x0654, 0x0654)),
    // Devanagari, Bengali, Oriya, Tamil, Telugu, Kannada, Malayalam, Sinhala, Myanmar.
    ((0x0928, 0x0928), (0x093C, 0x093C)), ((0x0930, 0x0930), (0x093C, 0x093C)),
    ((0x0933, 0x0933), (0x093C, 0x093C)), ((0x09C7, 0x09C7), (0x09BE, 0x09D7)),
    ((0x0B47, 0x0B47), (0x0B3E, 0x0B57)), ((0x0B92, 0x0B92), (0x0BD7, 0x0BD7)),
    ((0x0BC6, 0x0BC7), (0x0BBE, 0x0BD7)), ((0x0C46, 0x0C46), (0x0C56, 0x0C56)),
    ((0x0CBF, 0x0CCA), (0x0CC2, 0x0CD6)), ((0x0D46, 0x0D47), (0x0D3E, 0x0D57)),
    ((0x0DD9, 0x0DDC), (0x0DCA, 0x0DDF)), ((0x1025, 0x1025), (0x102E, 0x102E)),
    // Hangul: a leading consonant and a vowel, a syllable and a trailing consonant.
    ((0x1100, 0x1112), (0x1161, 0x1175)), ((0xAC00, 0xD7A3), (0x11A8, 0x11C2)),
    // Balinese, kana, Kaithi, Chakma, Grantha, Tulu-Tigalari.
    ((0x1B05, 0x1B11), (0x1B35, 0x1B35)), ((0x1B3A, 0x1B42), (0x1B35, 0x1B35)),
    ((0x3046, 0x30FD), (0x3099, 0x309A)), ((0x11099, 0x1109B), (0x110BA, 0x110BA)),
    ((0x110A5, 0x110A5), (0x110BA, 0x110BA)), ((0x11131, 0x11132), (0x11127, 0x11127)),
    ((0x11347, 0x11347), (0x1133E, 0x11357)), ((0x11382, 0x11390), (0x113BB, 0x113C9)),
    ((0x113C2, 0x113C2), (0x113B8, 0x113C9)),
    // Tirhuta, Siddham, Dives Akuru, Gurung Khema, Kirat Rai.
    ((0x114B9, 0x114B9), (0x114B0, 0x114BD)), ((0x115B8, 0x115B9), (0x115AF, 0x115AF)),
    ((0x11935, 0x11935), (0x11930, 0x11930)), ((0x1611E, 0x16129), (0x1611E, 0x16129)),
    ((0x16D63, 0x16D69), (0x16D67, 0x16D67)),
];

/// The letters, marks and numbers that never occur in Normalization Form C, as ranges.
const NOT_COMPOSED: [Range; 57] = table(
    "0340-0341 0343-0344 0374 0958-095F 09DC-09DF 0A33 0A36 0A59-0A5B 0A5E 0B5C-0B5D 0F43 0F4D 0F52 \
     0F57 0F5C 0F69 0F73 0F75-0F76 0F78 0F81 0F93 0F9D 0FA2 0FA7 0FAC 0FB9 1F71 1F73 1F75 1F77 1F79 \
     1F7B 1F7D 1FBB 1FBE 1FC9 1FCB 1FD3 1FDB 1FE3 1FEB 1FF9 1FFB 2126 212A-212B F900-FA0D FA10 FA12 \
     FA15-FA1E FA20 FA22 FA25-FA26 FA2A-FAD9 FB1D FB1F FB2A-FB4E 2F800-2FA1D",
);

/// The characters of the categories Mn and Me, as ranges.
const NONSPACING_MARKS: [Range; 365] = table(
    "0300-036F 0483-0489 0591-05BD 05BF 05C1-05C2 05C4-05C5 05C7-05C9 0610-061A 064B-065F 0670 \
     06D6-06DC 06DF-06E4 06E7-06E8 06EA-06ED 0711 0730-074A 07A6-07B0 07EB-07F3 07FD 0816-0819 \
     081B-0823 0825-0827 0829-082D 0859-085B 0897-089F 08CA-08E1 08E3-0902 093A 093C 0941-0948 094D \
     0951-0957 0962-0963 0981 09BC 09C1-09C4 09CD 09E2-09E3 09FE 0A01-0A02 0A3C 0A41-0A42 0A47-0A48 \
     0A4B-0A4D 0A51 0A70-0A71 0A75 0A81-0A82 0ABC 0AC1-0AC5 0AC7-0AC8 0ACD 0AE2-0AE3 0AFA-0AFF 0B01 \
     0B3C 0B3F 0B41-0B44 0B4D 0B53-0B56 0B62-0B63 0B82 0BC0 0BCD 0C00 0C04 0C3C 0C3E-0C40 0C46-0C48 \
     0C4A-0C4D 0C55-0C56 0C62-0C63 0C81 0CBC 0CBF 0CC6 0CCC-0CCD 0CE2-0CE3 0D00-0D01 0D3B-0D3C \
     0D41-0D44 0D4D 0D62-0D63 0D81 0DCA 0DD2-0DD4 0DD6 0E31 0E34-0E3A 0E47-0E4E 0EB1 0EB4-0EBC \
     0EC8-0ECE 0F18-0F19 0F35 0F37 0F39 0F71-0F7E 0F80-0F84 0F86-0F87 0F8D-0F97 0F99-0FBC 0FC6 \
     102D-1030 1032-1037 1039-103A 103D-103E 1058-1059 105E-1060 1071-1074 1082 1085-1086 108D 109D \
     135D-135F 1712-1714 1732-1733 1752-1753 1772-1773 17B4-17B5 17B7-17BD 17C6 17C9-17D3 17DD \
     180B-180D 180F 1885-1886 18A9 1920-1922 1927-1928 1932 1939-193B 1A17-1A18 1A1B 1A56 1A58-1A5E \
     1A60 1A62 1A65-1A6C 1A73-1A7C 1A7F 1AB0-1AF0 1B00-1B03 1B34 1B36-1B3A 1B3C 1B42 1B6B-1B73 \
     1B80-1B81 1BA2-1BA5 1BA8-1BA9 1BAB-1BAD 1BE6 1BE8-1BE9 1BED 1BEF-1BF1 1C2C-1C33 1C36-1C37 \
     1CD0-1CD2 1CD4-1CE0 1CE2-1CE8 1CED 1CF4 1CF8-1CF9 1DC0-1DFF 20D0-20F0 2CEF-2CF1 2D7F 2DE0-2DFF \
     302A-302D 3099-309A A66F-A672 A674-A67D A69E-A69F A6F0-A6F1 A802 A806 A80B A825-A826 A82C \
     A8C4-A8C5 A8E0-A8F1 A8FF A926-A92D A947-A951 A980-A982 A9B3 A9B6-A9B9 A9BC-A9BD A9E5 AA29-AA2E \
     AA31-AA32 AA35-AA36 AA43 AA4C AA7C AAB0 AAB2-AAB4 AAB7-AAB8 AABE-AABF AAC1 AAEC-AAED AAF6 ABE5 \
     ABE8 ABED FB1E FE00-FE0F FE20-FE2F 101FD 102E0 10376-1037A 10A01-10A03 10A05-10A06 10A0C-10A0F \
     10A38-10A3A 10A3F 10AE5-10AE6 10D24-10D27 10D69-10D6D 10EAB-10EAC 10ECB-10ECF 10EF0-10EFF \
     10F46-10F50 10F82-10F85 11001 11038-11046 11070 11073-11074 1107F-11081 110B3-110B6 110B9-110BA \
     110C2 11100-11102 11127-1112B 1112D-11134 11173 11180-11181 111B6-111BE 111C9-111CC 111CF \
     1122F-11231 11234 11236-11237 1123E 11241 112DF 112E3-112EA 11300-11301 1133B-1133C 11340 \
     11366-1136C 11370-11374 113BB-113C0 113CE 113D0 113D2 113E1-113E2 11438-1143F 11442-11444 11446 \
     1145E 114B3-114B8 114BA 114BF-114C0 114C2-114C3 115B2-115B5 115BC-115BD 115BF-115C0 115DC-115DD \
     11633-1163A 1163D 1163F-11640 116AB 116AD 116B0-116B5 116B7 1171D 1171F 11722-11725 11727-1172B \
     1182F-11837 11839-1183A 1193B-1193C 1193E 11943 119D4-119D7 119DA-119DB 119E0 11A01-11A0A \
     11A33-11A38 11A3B-11A3E 11A47 11A51-11A56 11A59-11A5B 11A8A-11A96 11A98-11A99 11B60 11B62-11B64 \
     11B66 11C30-11C36 11C38-11C3D 11C3F 11C92-11CA7 11CAA-11CB0 11CB2-11CB3 11CB5-11CB6 11D31-11D36 \
     11D3A 11D3C-11D3D 11D3F-11D45 11D47 11D90-11D91 11D95 11D97 11DF0 11EF3-11EF4 11F00-11F01 \
     11F36-11F3A 11F40 11F42 11F5A 13440 13447-13455 1611E-16129 1612D-1612F 16AF0-16AF4 16B30-16B36 \
     16F4F 16F8F-16F92 16FE4 1BC9D-1BC9E 1CF00-1CF2D 1CF30-1CF46 1D127-1D128 1D167-1D169 1D17B-1D182 \
     1D185-1D18B 1D1AA-1D1AD 1D242-1D244 1D25B-1D25C 1DA00-1DA36 1DA3B-1DA6C 1DA75 1DA84 1DA9B-1DA9F \
     1DAA1-1DAAF 1E000-1E006 1E008-1E018 1E01B-1E021 1E023-1E024 1E026-1E02A 1E08F 1E130-1E136 1E2AE \
     1E2EC-1E2EF 1E4EC-1E4EF 1E5EE-1E5EF 1E6E3 1E6E6 1E6EE-1E6EF 1E6F5 1E8D0-1E8D6 1E944-1E94A \
     E0100-E01EF",
);

/// The characters of the category Mc, as ranges.
const SPACING_MARKS: [Range; 196] = table(
    "0903 093B 093E-0940 0949-094C 094E-094F 0982-0983 09BE-09C0 09C7-09C8 09CB-09CC 09D7 0A03 \
     0A3E-0A40 0A83 0ABE-0AC0 0AC9 0ACB-0ACC 0B02-0B03 0B3E 0B40 0B47-0B48 0B4B-0B4C 0B57 0BBE-0BBF \
     0BC1-0BC2 0BC6-0BC8 0BCA-0BCC 0BD7 0C01-0C03 0C41-0C44 0C82-0C83 0CBE 0CC0-0CC4 0CC7-0CC8 \
     0CCA-0CCB 0CD5-0CD6 0CF3 0D02-0D03 0D3E-0D40 0D46-0D48 0D4A-0D4C 0D57 0D82-0D83 0DCF-0DD1 \
     0DD8-0DDF 0DF2-0DF3 0F3E-0F3F 0F7F 102B-102C 1031 1038 103B-103C 1056-1057 1062-1064 1067-106D \
     1083-1084 1087-108C 108F 109A-109C 1715 1734 17B6 17BE-17C5 17C7-17C8 1923-1926 1929-192B \
     1930-1931 1933-1938 1A19-1A1A 1A55 1A57 1A61 1A63-1A64 1A6D-1A72 1B04 1B35 1B3B 1B3D-1B41 \
     1B43-1B44 1B82 1BA1 1BA6-1BA7 1BAA 1BE7 1BEA-1BEC 1BEE 1BF2-1BF3 1C24-1C2B 1C34-1C35 1CE1 1CF7 \
     302E-302F A823-A824 A827 A880-A881 A8B4-A8C3 A952-A953 A983 A9B4-A9B5 A9BA-A9BB A9BE-A9C0 \
     AA2F-AA30 AA33-AA34 AA4D AA7B AA7D AAEB AAEE-AAEF AAF5 ABE3-ABE4 ABE6-ABE7 ABE9-ABEA ABEC 11000 \
     11002 11082 110B0-110B2 110B7-110B8 1112C 11145-11146 11182 111B3-111B5 111BF-111C0 111CE \
     1122C-1122E 11232-11233 11235 112E0-112E2 11302-11303 1133E-1133F 11341-11344 11347-11348 \
     1134B-1134D 11357 11362-11363 113B8-113BA 113C2 113C5 113C7-113CA 113CC-113CD 113CF 11435-11437 \
     11440-11441 11445 114B0-114B2 114B9 114BB-114BE 114C1 115AF-115B1 115B8-115BB 115BE 11630-11632 \
     1163B-1163C 1163E 116AC 116AE-116AF 116B6 1171E 11720-11721 11726 1182C-1182E 11838 11930-11935 \
     11937-11938 1193D 11940 11942 119D1-119D3 119DC-119DF 119E4 11A39 11A57-11A58 11A97 11B61 11B65 \
     11B67 11C2F 11C3E 11CA9 11CB1 11CB4 11D8A-11D8E 11D93-11D94 11D96 11EF5-11EF6 11F03 11F34-11F35 \
     11F3E-11F3F 11F41 1612A-1612C 16F51-16F87 16FF0-16FF1 1D165-1D166 1D16D-1D172 1D250-1D252 1D25F \
     1D280-1D281",
);

/// The characters that are two columns wide (property `East_Asian_Width`, values W and F) as ranges. A range may
/// also include code points that are not assigned.
const WIDE: [Range; 85] = table(
    "1100-115F 231A-231B 2329-232A 23E9-23EC 23F0 23F3 25FD-25FE 2614-2615 2630-2637 2648-2653 267F \
     268A-268F 2693 26A1 26AA-26AB 26BD-26BE 26C4-26C5 26CE 26D4 26EA 26F2-26F3 26F5 26FA 26FD 2705 \
     270A-270B 2728 274C 274E 2753-2755 2757 2795-2797 27B0 27BF 2B1B-2B1C 2B50 2B55 2E80-303E \
     3041-3247 3250-A4C6 A960-A97C AC00-D7A3 F900-FAD9 FE10-FE19 FE30-FE6B FF01-FF60 FFE0-FFE6 \
     16FE0-1B2FB 1D300-1D376 1F004 1F0CF 1F18E 1F191-1F19A 1F1AE 1F200-1F320 1F32D-1F335 1F337-1F37C \
     1F37E-1F393 1F3A0-1F3CA 1F3CF-1F3D3 1F3E0-1F3F0 1F3F4 1F3F8-1F43E 1F440 1F442-1F4FC 1F4FF-1F53D \
     1F54B-1F54E 1F550-1F567 1F57A 1F595-1F596 1F5A4 1F5FB-1F64F 1F680-1F6C5 1F6CC 1F6D0-1F6D2 \
     1F6D5-1F6DF 1F6EB-1F6EC 1F6F4-1F6FC 1F7DA 1F7E0-1F7F0 1F90C-1F93A 1F93C-1F945 1F947-1F9FF \
     1FA70-1FAFA 20000-3FC3F",
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_in_order() {
        for table in [&NONSPACING_MARKS[..], &SPACING_MARKS, &NOT_COMPOSED, &ALPHABETS, &WIDE] {
            assert!(table.iter().all(|(first, last)| first <= last));
            assert!(table.windows(2).all(|pair| pair[0].1 < pair[1].0));
        }
        let ranges = COMPOSING.iter().flat_map(|(firsts, seconds)| [firsts, seconds]);
        assert!(ranges.into_iter().all(|(first, last)| first <= last));
    }

    #[test]
    fn marks_are_told_from_letters() {
        for mark in ['\u{300}', '\u{36F}', '\u{94D}', '\u{20DD}', '\u{1E94A}'] {
            assert!(is_combining_mark(mark) && is_mark(mark), "U+{:04X}", u32::from(mark));
        }
        for invisible in ['\u{34F}', '\u{180B}', '\u{FE0F}', '\u{16FE4}', '\u{E0100}'] {
            assert!(is_invisible_mark(invisible) && !is_combining_mark(invisible));
        }
        for spacing in ['\u{903}', '\u{93E}', '\u{1D172}'] {
            assert!(is_mark(spacing) && !is_combining_mark(spacing));
        }
        for other in ['a', '\u{2FF}', '\u{370}', '漢', '\u{5CB}', '\u{200D}', char::MAX] {
            assert!(!is_mark(other), "U+{:04X}", u32::from(other));
        }
    }

    #[test]
    fn characters_that_compose_are_known_in_every_script() {
        for (first, second) in [
            ('e', '\u{301}'),
            ('Ω', '\u{301}'),
            ('и', '\u{306}'),
            ('ệ', '\u{36F}'),
            ('ا', '\u{653}'),
            ('न', '\u{93C}'),
            ('\u{BC6}', '\u{BBE}'),
            ('\u{1112}', '\u{1161}'),
            ('하', '\u{11AB}'),
            ('か', '\u{3099}'),
            ('ハ', '\u{309A}'),
        ] {
            assert!(may_compose(first, second), "{first} and U+{:04X}", u32::from(second));
        }
        for (first, second) in
            [('e', 'é'), ('क', '\u{93C}'), ('ம', '\u{BBE}'), ('ש', '\u{5C1}'), ('ب', '\u{651}')]
        {
            assert!(!may_compose(first, second), "{first} and U+{:04X}", u32::from(second));
        }
        for c in ['\u{958}', '\u{1F71}', '\u{2126}', '\u{212B}', '\u{F900}', '\u{FB2A}'] {
            assert!(is_replaced_by_composition(c), "U+{:04X}", u32::from(c));
        }
        for c in ['Å', 'か', 'が', '한', '\u{FA11}', '\u{929}'] {
            assert!(!is_replaced_by_composition(c), "U+{:04X}", u32::from(c));
        }
    }
}
