//! The client leaves.

use crate::failover::in_flight;
use crate::setting::{Setting, chat, stream};
use tollgate_tests::gateway::eventually;

#[test]
fn h10_a_client_that_leaves_in_mid_stream_closes_the_upstream_connection() {
    let setting = Setting::new("");
    for provider in ["one", "claude", "gem"] {
        let mut client = setting.gateway.connect();
        client.send(&stream(&format!("{provider}/m+events=8,chars=80,stall_after=4")).bytes());
        assert_eq!(client.head().status, 200);
        assert!(client.chunk().is_some());
        drop(client);
        setting.wait_until_ended("client_closed");
    }
    eventually("nothing in flight", || in_flight(&setting) == 0);
}

#[test]
fn h10_a_client_that_leaves_before_the_head_closes_the_upstream_connection() {
    let setting = Setting::new("");
    for request in [chat("one/m+head_silence"), stream("claude/m+first_silence"), chat("gem/m+head_silence")]
    {
        setting.reset();
        let mut client = setting.gateway.connect();
        client.send(&request.bytes());
        eventually("it is asked", || setting.log().len() == 1);
        drop(client);
        eventually("nothing in flight", || in_flight(&setting) == 0);
    }
}

#[test]
fn h10_a_client_that_leaves_starts_no_further_attempt() {
    let setting = Setting::new(
        "[models.m]\nstrategy = \"ordered\"\ntargets = [\"one/m+head_silence,id=gone\"]\nfallbacks = [\"two/m+id=gone\"]\n",
    );
    let mut client = setting.gateway.connect();
    client.send(&stream("m").bytes());
    eventually("it is asked", || setting.count("gone") == 1 || setting.log().len() == 1);
    drop(client);
    eventually("nothing in flight", || in_flight(&setting) == 0);
    assert_eq!(setting.log().len(), 1);
}
