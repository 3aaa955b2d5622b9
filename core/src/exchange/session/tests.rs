//! Sessions against a ledger of their own, with a clock of the test's.

use super::*;
use crate::admit::{Admission, Desk, admit};
use crate::config;
use crate::directory::Directory;
use crate::exchange::{Ending, RequestId};
use crate::fleet::Fleet;
use crate::host::FetchFault;
use crate::ledger::Ledger;
use crate::units::{NanoDollars, Requests, Tokens};

/// A session and what it does on its way.
struct Stage {
    session: Box<Session>,
    ledger: Ledger,
    fleet: Fleet,
    now: Time,
    /// What it wanted done, but for what the stage answers by itself.
    seen: Vec<Step>,
    refused: Option<u16>,
}

const NOON: Time = Time(1_800_000_000_000);

impl Stage {
    fn new(limits: &str, query: &str) -> Self {
        let text = format!(
            "[providers.up]\nkind = \"openai\"\nbase_url = \"http://up.test/v1\"\nkeys = [{{ name = \"k\", value = \"sk-up\" }}]\n\
             timeout = {{ session = \"30m\", session_idle = \"10m\" }}\n\
             [providers.az]\nkind = \"azure-deployments\"\nbase_url = \"https://az.test/openai\"\napi_version = \"1\"\nkeys = [\"k\"]\n\
             [providers.other]\nkind = \"anthropic\"\nbase_url = \"http://other.test/v1\"\nkeys = [\"k\"]\n\
             [prices.\"up/m\"]\ninput = 1\noutput = 2\n\
             [models.both]\ntargets = [\"other/m\", \"up/m\"]\nstrategy = \"ordered\"\n\
             [[keys]]\nname = \"c\"\nvalue = \"tg-c\"\n{limits}\n"
        );
        let config = Arc::new(config::load(text.as_bytes(), &|_| Err("none".to_owned())).unwrap());
        let directory = Directory::of(&config);
        let gauge = Arc::default();
        let desk = Desk { config: &config, directory: &directory, gauge: &gauge, peer: None };
        let call = http::Request::get(format!("/v1/realtime?{query}"))
            .header("upgrade", "websocket")
            .header("sec-websocket-key", "x")
            .header("authorization", "Bearer tg-c");
        let (head, ()) = call.body(()).unwrap().into_parts();
        let Admission::Session(opening) = admit(&head, &desk, RequestId(7), NOON) else { panic!("refused") };
        let session = Session::new(*opening, NOON);
        let (ledger, fleet) = (Ledger::default(), Fleet::default());
        let mut stage = Self { session, ledger, fleet, now: NOON, seen: Vec::new(), refused: None };
        stage.run();
        stage
    }

    /// A session that is open.
    fn open(limits: &str) -> Self {
        let mut stage = Self::new(limits, "model=up/m");
        stage.on(Input::Dialed(Ok(HeaderMap::new())));
        stage.on(Input::Entered(true));
        assert_eq!(stage.session.phase, Phase::Open);
        stage
    }

    fn on(&mut self, input: Input) {
        self.session.on(input, self.now);
        self.run();
    }

    fn run(&mut self) {
        while let Some(step) = self.session.next_step() {
            match step {
                Step::Reserve(entry) => {
                    let answer = self.ledger.reserve(entry, self.now);
                    self.session.on(Input::Reserved(answer), self.now);
                }
                Step::Choose => {
                    let choice = self.fleet.choose(&self.session.query(self.now, 0));
                    self.session.on(Input::Chosen(choice), self.now);
                }
                Step::Settle(hold, settlement) => {
                    self.ledger.settle(hold, &settlement, self.now);
                }
                Step::Answer(answer) => {
                    self.refused = Some(answer.status().as_u16());
                    self.seen.push(Step::Answer(answer));
                }
                step @ (Step::Dial(_)
                | Step::Send(..)
                | Step::Close(..)
                | Step::Observe(..)
                | Step::Notice(..)) => self.seen.push(step),
                Step::End(record, ended) => {
                    if let Some(Ended { hold, settlement }) = ended {
                        self.ledger.settle(hold, &settlement, self.now);
                    }
                    self.seen.push(Step::End(record, None));
                }
            }
        }
    }

    fn says(&mut self, text: &str) {
        let message = Message::Text(Bytes::copy_from_slice(text.as_bytes()));
        self.on(Input::Heard(Side::Server, Heard::Message(message)));
    }

    fn done(&mut self, input: u64, output: u64) {
        let usage = format!(r#"{{"input_tokens":{input},"output_tokens":{output}}}"#);
        self.says(&format!(r#"{{"type":"response.done","response":{{"usage":{usage}}}}}"#));
    }

    fn dialed(&self) -> Vec<String> {
        let dials = self
            .seen
            .iter()
            .filter_map(|step| if let Step::Dial(fetch) = step { Some(fetch.uri.to_string()) } else { None });
        dials.collect()
    }

    fn record(&self) -> &Record {
        let record = self
            .seen
            .iter()
            .find_map(|step| if let Step::End(record, _) = step { Some(record) } else { None });
        record.unwrap()
    }

    fn close_codes(&self) -> Vec<(Side, Option<u16>)> {
        let closes = self.seen.iter().filter_map(|step| {
            if let Step::Close(side, closing) = step { Some((*side, closing.code)) } else { None }
        });
        closes.collect()
    }
}

const BEGUN: &str = r#"{"type":"response.created","response":{"id":"resp_1","usage":null}}"#;

const DELTA: &str = r#"{"type":"response.output_text.delta","response_id":"resp_1","delta":"a"}"#;

/// What one side was told, as JSON.
fn told(stage: &Stage, side: Side) -> Vec<serde_json::Value> {
    let sent = stage.seen.iter().filter_map(|step| {
        let Step::Send(to, message) = step else { return None };
        (*to == side).then(|| serde_json::from_slice(message.bytes()).unwrap())
    });
    sent.collect()
}

#[test]
fn a_response_that_has_used_up_its_share_is_stopped_and_ends_as_at_its_cap() {
    let mut stage = Stage::open("tpm = 100");
    stage.says(BEGUN);
    for _ in 0..200 {
        stage.says(DELTA);
    }
    assert_eq!(stage.session.phase, Phase::Open);
    let cancels = told(&stage, Side::Server);
    let of = |event: &serde_json::Value| [event["type"].clone(), event["response_id"].clone()];
    assert_eq!(cancels.iter().map(of).collect::<Vec<_>>(), [["response.cancel", "resp_1"]]);
    // The share, sixteen more, and the one with which that was passed.
    assert_eq!(told(&stage, Side::Client).len(), 1 + 100 + 16 + 1);
    stage.says(r#"{"type":"response.done","response":{"id":"resp_1","status":"cancelled","usage":{"input_tokens":10,"output_tokens":120}}}"#);
    let heard = told(&stage, Side::Client);
    let [.., done, error] = heard.as_slice() else { panic!("{heard:?}") };
    assert_eq!((&done["type"], &done["response"]["status"]), (&"response.done".into(), &"incomplete".into()));
    assert_eq!(done["response"]["status_details"]["reason"], "max_output_tokens");
    assert_eq!(error["error"]["code"], "tpm_exceeded", "130 tokens in this minute");
    assert_eq!(stage.ledger.account("key:c").tokens, Tokens(130));
    assert_eq!(stage.close_codes(), [(Side::Server, Some(1000)), (Side::Client, Some(1008))]);
}

#[test]
fn a_response_that_stays_within_its_share_is_never_stopped() {
    let mut stage = Stage::open("tpm = 100");
    stage.says(BEGUN);
    for _ in 0..100 {
        stage.says(DELTA);
    }
    stage.done(0, 100);
    assert!(told(&stage, Side::Server).is_empty());
    assert_eq!(told(&stage, Side::Client).len(), 1 + 100 + 1 + 1, "and then the limit is reached");
}

#[test]
fn an_upstream_that_does_not_stop_is_left() {
    let mut stage = Stage::open("tpm = 100");
    stage.says(BEGUN);
    for _ in 0..200 {
        stage.says(DELTA);
    }
    stage.now = stage.session.wake_at();
    assert!(stage.now < NOON + Millis::from_secs(60));
    stage.on(Input::Tick);
    let heard = told(&stage, Side::Client);
    let [.., done, error] = heard.as_slice() else { panic!("{heard:?}") };
    assert_eq!((&done["type"], &done["response"]["status"]), (&"response.done".into(), &"incomplete".into()));
    assert_eq!(error["error"]["code"], "upstream_error");
    let account = stage.ledger.account("key:c");
    assert_eq!((account.open, account.tokens), (Requests(0), Tokens(200)), "what it can have written");
}

#[test]
fn a_response_that_no_limit_speaks_of_is_as_long_as_it_is() {
    let mut stage = Stage::open("rpm = 5");
    stage.says(BEGUN);
    for _ in 0..50_000 {
        stage.says(DELTA);
    }
    assert!(told(&stage, Side::Server).is_empty());
}

#[test]
fn a_session_is_one_request_and_its_responses_are_none() {
    let mut stage =
        Stage::open("concurrency = 3\nrpm = 5\ntpm = 1000\nbudget = [{ usd = 1, per = \"day\" }]");
    for _ in 0..3 {
        stage.says(BEGUN);
        stage.done(100, 10);
    }
    let account = stage.ledger.account("key:c");
    assert_eq!((account.open, account.settled, account.released), (Requests(1), Requests(0), Requests(0)));
    assert_eq!((account.tokens, account.spent), (Tokens(330), NanoDollars(360_000)));
    stage.on(Input::Heard(Side::Client, Heard::Closed(Closing::of(1000, ""))));
    let account = stage.ledger.account("key:c");
    assert_eq!((account.open, account.settled, account.released), (Requests(0), Requests(1), Requests(0)));
    let record = stage.record();
    assert_eq!(
        (record.status, record.cost.amount(), record.ending),
        (101, Some(NanoDollars(360_000)), Ending::Complete)
    );
    assert_eq!(stage.close_codes(), [(Side::Server, Some(1000)), (Side::Client, Some(1000))]);
    assert!(stage.session.is_done());
}

#[test]
fn what_is_used_up_ends_the_session_after_the_response_that_used_it_up() {
    let mut stage = Stage::open("tpm = 400");
    stage.done(100, 50);
    assert_eq!(stage.session.phase, Phase::Open);
    stage.done(150, 50);
    assert_eq!(stage.record().fault, Some("tpm_exceeded"));
    assert_eq!(stage.close_codes(), [(Side::Server, Some(1000)), (Side::Client, Some(1008))]);
    let last = stage.seen.iter().rev().find_map(|step| {
        if let Step::Send(Side::Client, message) = step { Some(message.bytes().clone()) } else { None }
    });
    let last: serde_json::Value = serde_json::from_slice(&last.unwrap()).unwrap();
    assert_eq!((&last["type"], &last["error"]["code"]), (&"error".into(), &"tpm_exceeded".into()));
    assert_eq!(stage.ledger.account("key:c").open, Requests(0));
}

#[test]
fn a_response_counts_in_the_minute_in_which_it_is_made() {
    let mut stage = Stage::open("tpm = 300");
    stage.now = NOON + Millis::from_secs(600);
    stage.says(BEGUN);
    stage.done(150, 50);
    stage.now = stage.now + Millis::from_secs(30);
    stage.says(BEGUN);
    stage.done(150, 50);
    assert_eq!(stage.record().fault, Some("tpm_exceeded"), "400 within half a minute");
}

#[test]
fn silence_and_length_have_an_end_that_the_provider_sets() {
    const IDLE: Millis = Millis::from_secs(600);
    let mut stage = Stage::open("");
    assert_eq!(stage.session.wake_at(), NOON + IDLE);
    stage.now = NOON + Millis::from_secs(500);
    stage.says("{}");
    assert_eq!(stage.session.wake_at(), stage.now + IDLE);
    stage.now = stage.session.wake_at();
    stage.on(Input::Tick);
    assert_eq!(stage.record().fault, Some("deadline"));
    assert_eq!(stage.close_codes(), [(Side::Server, Some(1000)), (Side::Client, Some(1001))]);
    let mut stage = Stage::open("");
    for part in 1..=3 {
        stage.now = NOON + Millis::from_secs(part * 599);
        stage.says("{}");
    }
    assert_eq!(stage.session.wake_at(), NOON + Millis::from_secs(1800));
}

#[test]
fn whoever_has_no_sessions_is_not_asked() {
    let stage = Stage::new("", "model=both");
    assert_eq!(stage.dialed(), ["http://up.test/v1/realtime?model=m"]);
    let stage = Stage::new("", "model=other/m");
    assert_eq!((stage.refused, stage.dialed().len()), (Some(400), 0));
    let stage = Stage::new("", "model=az/my%20dep&intent=x&key=tg-c&api-version=2");
    assert_eq!(
        stage.dialed(),
        ["https://az.test/openai/realtime?deployment=my%20dep&intent=x&api-version=1"]
    );
}

#[test]
fn an_upstream_that_does_not_open_leaves_nothing_held() {
    let mut stage = Stage::new("concurrency = 1\ntpm = 100", "model=up/m");
    for _ in 0..3 {
        let error = crate::host::FetchError { kind: FetchFault::Failed, what: "gone".to_owned() };
        stage.on(Input::Dialed(Err(Declined::Failed(error))));
        while stage.session.phase != Phase::Done && !matches!(stage.session.phase, Phase::Dial { .. }) {
            stage.now = stage.session.wake_at();
            stage.on(Input::Tick);
        }
    }
    assert_eq!((stage.refused, stage.dialed().len()), (Some(502), 3));
    let account = stage.ledger.account("key:c");
    assert_eq!((account.open, account.released, account.tokens), (Requests(0), Requests(1), Tokens(0)));
}

#[test]
fn j2_under_a_guardrail_that_blocks_no_session_opens() {
    let rail = |lines: &str| format!("[[guardrails]]\nname = \"strict\"\nphrases = [\"x\"]\n{lines}");
    let stage = Stage::new(&rail(""), "model=up/m");
    assert_eq!((stage.refused, stage.dialed().len()), (Some(400), 0));
    let record =
        stage.seen.iter().find_map(|step| if let Step::End(record, _) = step { Some(record) } else { None });
    let record = record.unwrap();
    assert_eq!(record.fault, Some("guardrail_blocked"));
    assert_eq!(record.guarded.iter().map(ToString::to_string).collect::<Vec<_>>(), ["block input strict"]);
    assert_eq!(Stage::new(&rail("models = [\"up/other\"]\n"), "model=up/m").dialed().len(), 1);
    assert_eq!(Stage::new(&rail("action = \"note\"\n"), "model=up/m").dialed().len(), 1);
}
