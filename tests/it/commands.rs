//! Commands: what each command does, who is notified of it, and which lines are not commands.

use chat::protocol::replies;

use crate::harness::{Peer, Server};

/// Makes `from` send a marker line. It must be the next line that `to` receives. So before the marker, the server sent
/// nothing else to `to`.
fn marker(from: &mut Peer, name: &str, to: &mut Peer) {
    from.send("marker");
    to.expect(&format!("{name}: marker"));
}

#[test]
fn help_in_any_case_lists_every_command_to_its_sender_only() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["alice", "bob"]);
    for help in ["/help", "/HELP", "/Help", "/help ", "/help me"] {
        alice.send(help);
        let answer = replies::help();
        for command in ["/help", "/quit", "/exit", "/who", "/users", "/nick", "/msg", "/me", "//"] {
            assert!(answer.contains(command), "{command}");
        }
        for line in answer.lines() {
            assert!(line.starts_with("[SERVER] "), "{line:?}");
            alice.expect(line);
        }
    }
    marker(&mut alice, "alice", &mut bob);
    marker(&mut bob, "bob", &mut alice);
}

#[test]
fn the_who_command_lists_everyone_to_its_sender_only() {
    let server = Server::start();
    let [mut alice, mut bob, mut carol] = server.join_all(["alice", "bob", "carol"]);
    for who in ["/who", "/WHO", "/users", "/Users", "/who  "] {
        bob.send(who);
        bob.expect("[SERVER] 3 online: alice, bob, carol");
    }
    marker(&mut bob, "bob", &mut alice);
    carol.expect("bob: marker");
    carol.send("/quit");
    bob.expect("[SERVER] carol left the chat!");
    bob.send("/who");
    bob.expect("[SERVER] 2 online: alice, bob");
}

/// Returns the end of a list of nicknames from which `others` nicknames are left out.
fn rest(others: usize) -> String {
    format!(" and {others} more; /who PART lists those with PART in the name")
}

#[test]
fn a_list_of_more_than_fifty_names_ends_with_the_number_of_the_others() {
    let server = Server::start();
    let joined: Vec<Peer> = (1..=50).map(|n| server.join(&format!("u{n}"))).collect();
    let who = |peer: &mut Peer| {
        peer.send("/who");
        loop {
            let line = peer.line();
            if line.contains(" online: ") {
                return line;
            }
        }
    };
    let mut last = server.join("u51");
    let fifty_one = who(&mut last);
    drop(last);
    let names = fifty_one.strip_prefix("[SERVER] 51 online: ").unwrap();
    let names: Vec<&str> = names.strip_suffix(&rest(1)).unwrap().split(", ").collect();
    assert_eq!(names.len(), 50);
    let mut distinct = names.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), 50);
    for name in names {
        let number = name.strip_prefix('u').unwrap().parse::<usize>().unwrap();
        assert!((1..=51).contains(&number), "{name}");
    }
    // The list that a newcomer gets is shortened in the same way.
    let more: Vec<Peer> = (52..=62).map(|n| server.join(&format!("u{n}"))).collect();
    let mut newcomer = server.connect("newcomer");
    newcomer.send("newcomer");
    newcomer.expect_all(["[SERVER] Enter your nickname:", "[SERVER] Connected to the server!"]);
    let online = newcomer.line();
    // The server may or may not have noticed yet that u51 has disconnected.
    assert!(
        online.starts_with("[SERVER] 62 online: ") && online.ends_with(&rest(12))
            || online.starts_with("[SERVER] 63 online: ") && online.ends_with(&rest(13)),
        "{online}"
    );
    drop((joined, more));
}

#[test]
fn a_rename_is_told_to_everyone_and_holds_from_then_on() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["alice", "bob"]);
    alice.send("/nick al");
    alice.expect("[SERVER] alice is now known as al");
    bob.expect("[SERVER] alice is now known as al");
    alice.send("hello");
    bob.expect("al: hello");
    bob.send("/who");
    bob.expect("[SERVER] 2 online: al, bob");
    bob.send("/msg alice hi");
    bob.expect("[SERVER] No such nickname: alice.");
    bob.send("/msg al hi");
    bob.expect("[you -> al] hi");
    alice.expect("[bob -> you] hi");
    alice.send("/quit");
    bob.expect("[SERVER] al left the chat!");
}

#[test]
fn a_nickname_that_was_given_up_is_free_at_once() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["alice", "bob"]);
    alice.send("/nick al");
    alice.expect("[SERVER] alice is now known as al");
    let mut second = server.join("alice");
    bob.expect_all(["[SERVER] alice is now known as al", "[SERVER] alice joined the chat!"]);
    second.send("/quit");
    bob.expect("[SERVER] alice left the chat!");
    bob.send("/NICK  alice ");
    bob.expect("[SERVER] bob is now known as alice");
}

#[test]
fn a_client_can_change_the_case_of_its_nickname() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["alice", "bob"]);
    alice.send("/nick Alice");
    alice.expect("[SERVER] alice is now known as Alice");
    bob.expect("[SERVER] alice is now known as Alice");
    // If the new name is the same as the old name, nobody else is notified.
    alice.send("/nick Alice");
    alice.expect("[SERVER] You are Alice already.");
    bob.send("/nick ALICE");
    assert!(bob.line().contains("taken"));
}

#[test]
fn a_refused_rename_changes_nothing_and_is_answered_to_its_sender_only() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["alice", "bob"]);
    for (name, why) in [
        ("bob", "taken"),
        ("BOB", "taken"),
        ("you", "reserved"),
        ("a b", "spaces"),
        ("al:", "':'"),
        ("a\u{202E}b", "without U+"),
        (&"x".repeat(33), "at most 32 characters, not 33"),
    ] {
        alice.send(&format!("/nick {name}"));
        let answer = alice.line();
        assert!(answer.starts_with("[SERVER] "), "{answer}");
        assert!(answer.contains(why), "{answer}");
        assert!(answer.ends_with(" You keep your nickname."), "{answer}");
    }
    marker(&mut alice, "alice", &mut bob);
    marker(&mut bob, "bob", &mut alice);
}

#[test]
fn a_private_message_reaches_one_person_and_its_sender_only() {
    let server = Server::start();
    let [mut alice, mut bob, mut carol] = server.join_all(["alice", "bob", "carol"]);
    for command in ["/msg bob hi there", "/MSG bob hi there", "/msg  BOB  hi there"] {
        alice.send(command);
        alice.expect("[you -> bob] hi there");
        bob.expect("[alice -> you] hi there");
    }
    marker(&mut alice, "alice", &mut carol);
    bob.expect("alice: marker");
}

#[test]
fn a_private_message_to_nobody_is_answered_with_that_name() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["alice", "bob"]);
    for name in ["zed", "bo", "bobby", "[SERVER]"] {
        alice.send(&format!("/msg {name} psst"));
        alice.expect(&format!("[SERVER] No such nickname: {name}."));
    }
    marker(&mut alice, "alice", &mut bob);
    bob.send("/quit");
    alice.expect("[SERVER] bob left the chat!");
    alice.send("/msg bob psst");
    alice.expect("[SERVER] No such nickname: bob.");
}

#[test]
fn an_unknown_command_is_answered_with_a_word_about_help_and_said_to_nobody() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["alice", "bob"]);
    for (line, word) in
        [("/foo", "/foo"), ("/", "/"), ("/foo bar", "/foo"), ("/helpme", "/helpme"), ("/ me", "/")]
    {
        alice.send(line);
        alice.expect(&format!("[SERVER] Unknown command: {word}. Type /help for the commands."));
    }
    marker(&mut alice, "alice", &mut bob);
}

#[test]
fn a_command_that_lacks_something_is_answered_with_how_to_write_it() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["alice", "bob"]);
    for (line, usage) in [
        ("/nick", "/nick NAME"),
        ("/nick  ", "/nick NAME"),
        ("/msg", "/msg NICK TEXT"),
        ("/msg bob", "/msg NICK TEXT"),
        ("/MSG bob  ", "/msg NICK TEXT"),
        ("/me", "/me ACTION"),
        ("/me \t ", "/me ACTION"),
    ] {
        alice.send(line);
        let answer = alice.line();
        assert_eq!(answer, replies::usage(usage));
        assert!(answer.ends_with(usage), "{answer}");
    }
    marker(&mut alice, "alice", &mut bob);
}

#[test]
fn the_who_command_filters_by_a_part_of_the_name() {
    let server = Server::start();
    let mut alice = server.join("alice");
    let _others = server.join_all(["Sally", "bob", "al"]);
    alice.send("/who AL");
    alice.lines_until("[SERVER] al joined the chat!");
    alice.expect("[SERVER] 3 online with al: alice, Sally, al");
    alice.send("/who \u{1b}x\n/who bo");
    alice.expect_all([
        "[SERVER] Nobody online has \u{FFFD}x in the name.",
        "[SERVER] 1 online with bo: bob",
    ]);
}

#[test]
fn ping_is_answered_to_the_asker_alone_after_everything_it_said() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["alice", "bob"]);
    alice.send("hello\n/msg bob psst\n/ping 17\n/PING\n/ping \u{1b}[2J");
    alice.expect_all([
        "[you -> bob] psst",
        "[SERVER] pong 17",
        "[SERVER] pong",
        "[SERVER] pong \u{FFFD}[2J",
    ]);
    bob.expect_all(["alice: hello", "[alice -> you] psst"]);
    marker(&mut alice, "alice", &mut bob);
}

#[test]
fn a_line_with_a_space_before_the_slash_is_a_message() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["alice", "bob"]);
    alice.send(" /quit");
    bob.expect("alice:  /quit");
    marker(&mut bob, "bob", &mut alice);
}

#[test]
fn no_nickname_and_no_message_can_be_taken_for_a_notice() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["alice", "bob"]);
    // Every message starts with its sender's name.
    for line in ["[SERVER] bob left the chat!", "bob: hi", "* bob waves", "[bob -> you] hi"] {
        alice.send(line);
        bob.expect(&format!("alice: {line}"));
    }
}

#[test]
fn the_answer_to_who_fits_its_place_in_the_order() {
    let server = Server::start();
    let mut alice = server.join("a0");
    // All lines are sent at once, so that the server handles several /who commands together.
    let lines: Vec<String> = (1..=50).map(|n| format!("/who\n/who\n/nick a{n}")).collect();
    alice.send(&lines.join("\n"));
    for n in 1..=50 {
        let (before, answer) = (n - 1, format!("[SERVER] 1 online: a{}", n - 1));
        alice.expect_all([&answer, &answer, &format!("[SERVER] a{before} is now known as a{n}")]);
    }
}
