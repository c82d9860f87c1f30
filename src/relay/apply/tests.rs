//! Each rule of the state has a test here. Other tests check properties that must be true for every stream.

use std::collections::BTreeMap;

use super::*;
use crate::relay::state::REMEMBERED_POINTS;

/// A stream, and the state of a server that has read it to the end.
struct Stream {
    entries: Vec<Entry>,
    state: State,
}

impl Default for Stream {
    fn default() -> Self {
        Self { entries: Vec::new(), state: State::after(Id::default()) }
    }
}

/// A server that writes to the stream: its run, and the number of its last entry.
struct Writer(Sid, u64);

impl Stream {
    /// Appends an entry with these fields. Returns the verdict on the entry, and the events.
    fn append(&mut self, fields: &[&[u8]]) -> (Outcome, Vec<String>) {
        let id: Id = format!("{}-0", self.entries.len() + 1).parse().unwrap();
        let fields: Vec<Vec<u8>> = fields.iter().map(|field| field.to_vec()).collect();
        let mut events = Vec::new();
        let entry = Entry { id, fields };
        let applied = self.state.apply(&entry, &mut |number, event| {
            events.push(format!("{number} {event:?}"));
        });
        self.entries.push(entry);
        (applied.outcome, events)
    }

    /// Appends an entry of a server that has read the stream to its end.
    fn write(&mut self, writer: &mut Writer, records: &str) -> (Outcome, Vec<String>) {
        writer.1 += 1;
        let (at, digest) = self.state.point();
        let header = Header { sid: writer.0, seq: writer.1, at, digest };
        self.append(&[b"e", format!("{header}{records}").as_bytes()])
    }

    /// Lets a server enter the room.
    fn come(&mut self, sid: u64, name: &str) -> Writer {
        let mut writer = Writer(Sid(sid), 0);
        let (outcome, _) = self.write(&mut writer, &format!("H 1 {name}\n"));
        assert_eq!(outcome, Outcome::Counted);
        writer
    }

    fn members(&self) -> String {
        let members = self.state.members();
        let shown = |(who, nick): (Who, &str)| format!("{:x}/{}={nick} ", who.sid.0, who.client);
        members.map(shown).collect::<Vec<_>>().concat()
    }
}

#[test]
fn a_name_goes_to_the_first_who_wants_it_in_the_order_of_the_stream() {
    let mut stream = Stream::default();
    let (mut one, mut two) = (stream.come(1, "one"), stream.come(2, "two"));
    let (_, events) = stream.write(&mut two, "J 7 Alice alice\n");
    assert_eq!(events, ["0 Joined(Who { sid: Sid(2), client: 7 }, \"Alice\")"]);
    let (outcome, events) =
        stream.write(&mut one, "J 7 ALICE alice\nJ 8 bob bob\nS 7 I am not in\n");
    assert_eq!(outcome, Outcome::Counted);
    assert_eq!(events.len(), 2, "one that is not in says nothing: {events:?}");
    assert_eq!(events[0], "0 Refused(Who { sid: Sid(1), client: 7 })");
    assert_eq!(stream.members(), "1/8=bob 2/7=Alice ");
}

#[test]
fn a_name_that_is_given_up_is_free_at_that_very_point() {
    let mut stream = Stream::default();
    let (mut one, mut two) = (stream.come(1, "one"), stream.come(2, "two"));
    stream.write(&mut one, "J 1 al al\nJ 2 bo bo\nR 1 bo bo\nR 2 cy cy\nR 1 bo bo\n");
    assert_eq!(stream.members(), "1/1=bo 1/2=cy ");
    stream.write(&mut one, "R 1 BO bo\n");
    assert_eq!(stream.members(), "1/1=BO 1/2=cy ", "the own name in another case is free");
    stream.write(&mut two, "J 1 al al\nJ 2 x bo\n");
    let (_, events) = stream.write(&mut one, "L 1 k\n");
    assert_eq!(events, ["0 Left(Who { sid: Sid(1), client: 1 }, \"BO\", Kicked)"]);
    stream.write(&mut two, "J 3 bo bo\n");
    assert_eq!(stream.members(), "1/2=cy 2/1=al 2/3=bo ");
}

#[test]
fn what_is_said_carries_the_name_that_all_know_and_is_remembered() {
    let mut stream = Stream::default();
    let mut one = stream.come(1, "one");
    let records =
        "J 1 al al\nS 1 a b: c\nA 1 waves \nN all: hear\nT 1 al AL psst psst\nT 1 no NO x\n";
    let (_, events) = stream.write(&mut one, records);
    let al = "Who { sid: Sid(1), client: 1 }";
    assert_eq!(
        events[1..],
        [
            format!("1 Said({al}, \"al\", \"a b: c\")"),
            format!("2 Acted({al}, \"al\", \"waves \")"),
            "3 Announced(\"all: hear\")".to_owned(),
            format!("4 Told({al}, Ok({al}), \"psst psst\")"),
            format!("5 Told({al}, Err(\"NO\"), \"x\")"),
        ]
    );
    assert_eq!(stream.state.history().collect::<Vec<_>>(), ["al: a b: c", "* al waves "]);
    (0..HISTORY_LINES).for_each(|n| drop(stream.write(&mut one, &format!("S 1 {n}\n"))));
    assert_eq!(stream.state.history().count(), HISTORY_LINES);
    assert_eq!(stream.state.history().next(), Some("al: 0"));
}

#[test]
fn of_several_copies_the_first_counts_and_a_number_that_jumps_is_a_hole() {
    let mut stream = Stream::default();
    let mut one = stream.come(1, "one");
    stream.write(&mut one, "J 1 al al\n");
    let copy = stream.entries.last().unwrap().fields[1].clone();
    let before = stream.state.digest;
    assert_eq!(stream.append(&[b"e", &copy]), (Outcome::Ignored, Vec::new()));
    assert_eq!(stream.state.digest, before);
    one.1 += 1;
    assert_eq!(stream.write(&mut one, "S 1 after a hole\n"), (Outcome::Missing, Vec::new()));
}

#[test]
fn a_server_comes_by_a_hello_of_this_version_and_in_no_other_way() {
    let mut stream = Stream::default();
    for records in ["J 1 al al\n", "H 2 one\n", "H 1 \n", "H 1 a b\n", ""] {
        assert_eq!(stream.write(&mut Writer(Sid(1), 0), records).0, Outcome::Ignored);
    }
    assert_eq!(stream.write(&mut Writer(Sid(1), 1), "H 1 one\n").0, Outcome::Ignored, "number 2");
    stream.come(1, "one");
}

#[test]
fn another_run_of_a_name_replaces_the_one_before_and_a_late_copy_does_not() {
    let mut stream = Stream::default();
    let mut old = stream.come(1, "one");
    let hello_of_old = stream.entries[0].fields[1].clone();
    stream.write(&mut old, "J 1 al al\n");
    let (_, events) = stream.write(&mut Writer(Sid(2), 0), "H 1 one\n");
    let left = "0 Left(Who { sid: Sid(1), client: 1 }, \"al\", ServerLost)";
    assert_eq!(events, [left, "0 Gone(Sid(1), \"one\", Replaced)", "0 Came(Sid(2), \"one\")"]);
    assert_eq!(stream.members(), "");
    // The old server's hello is sent again, so late that another run has already entered the room.
    assert_eq!(stream.append(&[b"e", &hello_of_old]), (Outcome::Ignored, Vec::new()));
    assert!(stream.state.server(Sid(2)).is_some());
}

#[test]
fn a_server_that_misses_six_beats_of_one_other_is_gone_and_none_that_speaks() {
    let mut stream = Stream::default();
    let (mut one, mut two) = (stream.come(1, "one"), stream.come(2, "two"));
    let mut three = stream.come(3, "three");
    stream.write(&mut two, "J 1 bo bo\n");
    for _ in 1..MISSES {
        stream.write(&mut one, "B\n");
        stream.write(&mut three, "B\n");
    }
    assert_eq!(stream.members(), "2/1=bo ", "five of each are not six of one");
    // Even an entry without records shows that its server is alive.
    stream.write(&mut two, "");
    for _ in 1..MISSES {
        stream.write(&mut one, "B\n");
        stream.write(&mut three, "");
    }
    let (_, events) = stream.write(&mut one, "B\n");
    assert_eq!(events.len(), 2, "{events:?}");
    assert_eq!(events[1], "0 Gone(Sid(2), \"two\", Silent)");
    let (outcome, events) = stream.write(&mut two, "S 1 I am back\n");
    assert_eq!((outcome, events.len()), (Outcome::Ignored, 0), "it has to come anew");
}

#[test]
fn a_server_that_closes_takes_its_members_with_it_in_their_order() {
    let mut stream = Stream::default();
    let mut one = stream.come(1, "one");
    stream.write(&mut one, "J 2 bo bo\nJ 1 al al\n");
    let (_, events) = stream.write(&mut one, "S 2 bye\nX\nS 2 too late\nJ 3 cy cy\n");
    let left = |client: u64, nick: &str| {
        format!("1 Left(Who {{ sid: Sid(1), client: {client} }}, {nick:?}, ServerClosed)")
    };
    assert_eq!(
        events[1..],
        [left(1, "al"), left(2, "bo"), "1 Gone(Sid(1), \"one\", Closed)".into()]
    );
    assert_eq!(stream.members(), "");
}

#[test]
fn an_entry_whose_writer_has_read_something_else_counts_and_is_doubtful() {
    let mut stream = Stream::default();
    let mut one = stream.come(1, "one");
    let (at, digest) = stream.state.point();
    stream.write(&mut one, "J 1 al al\n");
    for (at, digest) in [(at, digest ^ 1), (at + 1, digest), (1 << 40, digest)] {
        one.1 += 1;
        let header = Header { sid: one.0, seq: one.1, at, digest };
        let (outcome, events) = stream.append(&[b"e", format!("{header}S 1 x\n").as_bytes()]);
        assert!(matches!(outcome, Outcome::Doubtful(_)), "{outcome:?}");
        assert_eq!(events.len(), 1);
    }
    // A point that is older than all remembered points is not doubted.
    for _ in 0..=REMEMBERED_POINTS {
        stream.write(&mut one, "");
    }
    one.1 += 1;
    let header = Header { sid: one.0, seq: one.1, at: 64, digest: 7 };
    assert_eq!(stream.append(&[b"e", header.to_string().as_bytes()]).0, Outcome::Counted);
    // But the hello of a new server is doubted: a new server has just read everything, so its point must be
    // remembered.
    let header = Header { sid: Sid(2), seq: 1, at: 0, digest: 0 };
    let (outcome, events) = stream.append(&[b"e", format!("{header}H 1 two\n").as_bytes()]);
    assert!(matches!(outcome, Outcome::Doubtful(_)), "{outcome:?}");
    assert_eq!(events.len(), 1, "it comes all the same");
}

#[test]
fn what_is_foreign_is_ignored_and_still_has_its_place() {
    let mut stream = Stream::default();
    stream.come(1, "one");
    let before = (stream.state.digest, stream.members());
    let text = "f3e19a3a7b2b51cd 1 0 0 0\nH 1 five words\n";
    for fields in [
        &[&b"e"[..]][..],
        &[b"e", b"", b"e", b""],
        &[b"x", b"0000000000000009 1 0 0\nH 1 nine\n"],
        &[b"e", b"\xff\xfe"],
        &[b"e", b""],
        &[b"e", text.as_bytes()],
        &[b"e", b"hello\nworld"],
    ] {
        let position = stream.state.position;
        assert!(matches!(stream.append(fields).0, Outcome::Foreign(_)), "{fields:?}");
        assert!(stream.state.position > position);
    }
    assert_eq!((stream.state.digest, stream.members()), before);
    assert_eq!(stream.append(&[b"e", b"?"]).0, Outcome::Question);
}

#[test]
fn a_bad_record_is_skipped_and_the_others_count() {
    let mut stream = Stream::default();
    let mut one = stream.come(1, "one");
    let long = format!("S 1 {}\n", "x".repeat(5000));
    for record in [
        "J\n",
        "J 1\n",
        "J 1 al\n",
        "J x al al\n",
        "J 1 a:l al\n",
        "J 1 \x1b al\n",
        "J 1 al a l\n",
        "J 9 al al\n",
        "Z 9 x\n",
        "T 9 x\n",
        &long.replace(" 1 ", " 9 "),
        "\n",
    ] {
        let (outcome, events) = stream.write(&mut one, &format!("{record}N next\n"));
        assert_eq!(outcome, Outcome::Counted);
        assert_eq!(events.last().unwrap(), "1 Announced(\"next\")", "{record:?}");
        let is_first = record.starts_with("J 9");
        assert!(events[0].starts_with(if is_first { "0 Joined" } else { "0 Bad" }), "{events:?}");
    }
    let (_, events) = stream.write(&mut one, "J 9 al al\n");
    assert_eq!(events, ["0 Bad(\"it joins twice\")"]);
}

#[test]
fn a_checkpoint_is_due_after_so_many_bytes_and_keeps_the_period_before_it() {
    let mut stream = Stream::default();
    let mut one = stream.come(1, "one");
    let mut due = Vec::new();
    let text = "N ".to_owned() + &"x".repeat(1 << 20) + "\n";
    while due.len() < 3 {
        let id: Id = format!("{}-0", stream.entries.len() + 1).parse().unwrap();
        let (at, digest) = stream.state.point();
        one.1 += 1;
        let header = Header { sid: one.0, seq: one.1, at, digest };
        let fields = vec![b"e".to_vec(), format!("{header}{text}").into_bytes()];
        let applied = stream.state.apply(&Entry { id, fields }, &mut |_, _| {});
        due.extend(applied.trim_to.map(|trim_to| (id, trim_to)));
        stream.entries.push(Entry { id, fields: Vec::new() });
    }
    assert_eq!(due[0].1, Id::default());
    assert_eq!(due[1].1, due[0].0);
    assert_eq!(due[2].1, due[1].0);
}

/// Pseudo-random numbers (xorshift, Marsaglia 2003). The same seed gives the same numbers, so a failure can be
/// repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % limit
    }

    fn byte(&mut self) -> u8 {
        self.below(256).to_le_bytes()[0]
    }

    fn record(&mut self) -> String {
        let (client, name) = (self.below(5), self.below(7));
        match self.below(9) {
            0 | 1 => format!("J {client} n{name} n{name}\n"),
            2 => format!("R {client} n{name} n{name}\n"),
            3 => format!("S {client} line {name}\n"),
            4 => format!("A {client} acts {name}\n"),
            5 => format!("T {client} n{name} N{name} psst\n"),
            6 => format!("L {client} q\n"),
            7 => "B\n".to_owned(),
            _ => format!("{} {name}\n", char::from(b'A' + self.byte() % 26)),
        }
    }
}

/// A random stream. Its servers enter the room, talk, repeat entries, close, and fall silent.
fn random_stream(seed: u64) -> Stream {
    let mut random = Random(seed);
    let mut stream = Stream::default();
    let mut writers: Vec<Writer> = Vec::new();
    for step in 0..400 {
        match random.below(20) {
            0 => writers.push(stream.come(100 + step, &format!("s{}", random.below(4)))),
            1 => {
                let place = random.below(stream.entries.len() + 1);
                let again = stream.entries.get(place).map(|entry| entry.fields.clone());
                let again = again.unwrap_or_default();
                stream.append(&again.iter().map(Vec::as_slice).collect::<Vec<_>>());
            }
            2 => {
                let bytes: Vec<u8> = (0..random.below(40)).map(|_| random.byte()).collect();
                stream.append(&[b"e", &bytes]);
            }
            _ if !writers.is_empty() => {
                let place = random.below(writers.len());
                let records: String = (0..random.below(5)).map(|_| random.record()).collect();
                stream.write(&mut writers[place], &records);
            }
            _ => {}
        }
    }
    stream
}

#[test]
fn a_checkpoint_read_back_is_the_state_at_every_entry_and_from_there_on() {
    for seed in 1..20 {
        let stream = random_stream(seed);
        let mut state = State::default();
        let mut copy = State::default();
        let mut most = 0;
        for entry in &stream.entries {
            state.apply(entry, &mut |_, _| {});
            let applied = copy.apply(entry, &mut |_, _| {});
            assert_eq!(copy.write(), state.write(), "seed {seed}, entry {}, {applied:?}", entry.id);
            copy = State::read(&state.write()).unwrap();
            assert_eq!((&copy.servers, &copy.names), (&state.servers, &state.names));
            most = most.max(state.members().count());
        }
        assert!(most > 3, "seed {seed} comes to nothing");
    }
}

#[test]
fn whatever_comes_each_name_has_one_owner_and_each_who_joins_leaves_once() {
    for seed in 20..60 {
        let stream = random_stream(seed);
        let mut state = State::default();
        let mut inside: BTreeMap<String, String> = BTreeMap::new();
        for entry in &stream.entries {
            state.apply(entry, &mut |_, event| match event {
                Event::Joined(who, nick) => {
                    assert!(!inside.values().any(|other| other == nick), "{nick} twice");
                    assert!(inside.insert(format!("{who:?}"), nick.to_owned()).is_none());
                }
                Event::Renamed(who, nick) => {
                    inside.insert(format!("{who:?}"), nick.to_owned()).unwrap();
                }
                Event::Left(who, nick, _) => {
                    assert_eq!(inside.remove(&format!("{who:?}")).as_deref(), Some(nick));
                }
                Event::Said(who, nick, _) | Event::Acted(who, nick, _) => {
                    assert_eq!(inside[&format!("{who:?}")], nick);
                }
                _ => {}
            });
            assert_eq!(inside.len(), state.names.len());
            assert_eq!(inside.len(), state.members().count());
        }
    }
}

#[test]
fn what_is_no_checkpoint_is_not_read() {
    let text = random_stream(7).state.write();
    assert!(State::read(&text).is_some());
    for (from, to) in
        [("1 ", "2 "), ("\ns ", "\nz "), ("\nm ", "\nm x"), ("-", ""), ("\ns ", "\nb ")]
    {
        assert_eq!(State::read(&text.replacen(from, to, 1)), None, "{from:?} is {to:?}");
    }
    for text in ["", "1 ", "1 1-0 0 0 0 0 0-0", "hello\nworld\n"] {
        assert_eq!(State::read(text), None, "{text:?}");
    }
    assert!(State::read("1 1-0 0 0 0 0 0-0 0\n").is_some());
}
