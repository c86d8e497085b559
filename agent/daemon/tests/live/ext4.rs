//! The same attacks on ext4, which numbers its files, links them and forgets them in its own way.

use crate::host::live_on_ext4;
use crate::ways::{DESCRIPTOR, INTERPRETERS, MOUNTS, NAMES, OVERLAYS, assert_shut};
use crate::{activation, death, inodes, profiles};

#[test]
fn every_verb_is_refused() {
    live_on_ext4("ext4::every_verb_is_refused", activation::every_verb);
}

#[test]
fn other_names_are_refused() {
    live_on_ext4("ext4::other_names_are_refused", |host| assert_shut(host, &NAMES));
}

#[test]
fn descriptors_and_interpreters_are_refused() {
    live_on_ext4("ext4::descriptors_and_interpreters_are_refused", |host| {
        assert_shut(host, &[&[DESCRIPTOR], INTERPRETERS.as_slice()].concat());
    });
}

#[test]
fn the_shared_program_wants_an_admitted_wrapper() {
    live_on_ext4("ext4::the_shared_program_wants_an_admitted_wrapper", activation::shared_program);
}

#[test]
fn mounts_make_no_difference() {
    live_on_ext4("ext4::mounts_make_no_difference", |host| {
        assert_shut(host, &[MOUNTS.as_slice(), &OVERLAYS].concat());
    });
}

#[test]
fn a_hard_link_is_the_same_file() {
    live_on_ext4("ext4::a_hard_link_is_the_same_file", inodes::hard_links);
}

#[test]
fn numbers_of_files_are_used_again() {
    live_on_ext4("ext4::numbers_of_files_are_used_again", inodes::numbers_used_again);
}

#[test]
fn a_generation_that_is_replaced_is_another_one() {
    live_on_ext4("ext4::a_generation_that_is_replaced_is_another_one", inodes::replaced);
}

#[test]
fn what_was_held_stays_shut_while_nobody_is_there() {
    live_on_ext4("ext4::what_was_held_stays_shut_while_nobody_is_there", death::held_stays_shut);
}

#[test]
fn a_rejected_generation_is_quarantined() {
    live_on_ext4("ext4::a_rejected_generation_is_quarantined", profiles::quarantine);
}
