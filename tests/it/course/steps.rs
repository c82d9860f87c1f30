//! The four steps, as their own texts try them.

use crate::harness::play::{act_out, documentation};

#[test]
fn step_1_echoes_one_client_at_a_time() {
    act_out(&documentation("src/steps/step1_echo_server.rs"));
}

#[test]
fn step_2_sends_what_is_typed_and_prints_what_comes() {
    act_out(&documentation("src/steps/step2_client.rs"));
}

#[test]
fn step_3_shows_messages_while_one_types() {
    act_out(&documentation("src/steps/step3_two_threads.rs"));
}

#[test]
fn step_4_passes_messages_on_to_all_but_the_sender() {
    act_out(&documentation("src/steps/step4_many_users.rs"));
}

#[test]
fn without_framing_messages_are_glued_together() {
    act_out(&documentation("src/lessons/gateway/main.rs"));
}
