//! The program: signals, reload, the command line.

use crate::setting::{PROGRAM, Setting, chat, question, stream};
use tollgate_tests::gateway::{Folder, Gateway, command, eventually, output};
use tollgate_tests::http::{Ended, Request};

fn run(args: &[&str], file: &str, variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let folder = Folder::new();
    std::fs::write(folder.path().join("some.toml"), file).unwrap();
    let mut command = command(PROGRAM, &folder);
    command.envs(variables.iter().copied());
    let done = output(command, args);
    let text = [done.stdout, done.stderr].concat();
    (done.status.code(), String::from_utf8(text).unwrap())
}

#[test]
fn sigterm_lets_a_stream_finish_and_exits_with_0() {
    let mut setting = Setting::new("");
    let mut client = setting.gateway.connect();
    client.send(&stream("one/m+chars=400,events=20,drip=40").bytes());
    let mut answer = client.head();
    assert_eq!(answer.status, 200);
    setting.gateway.signal("TERM");
    setting.gateway.wait_for("stopping");
    eventually("nobody new is let in", || std::net::TcpStream::connect(setting.gateway.address).is_err());
    answer.ended = client.body(&mut answer);
    assert!(answer.is_done() && answer.said().len() == 400, "{}", answer.text());
    assert!(client.is_closed());
    assert_eq!(setting.gateway.wait().code(), Some(0));
}

#[test]
fn k15_what_outlasts_the_drain_is_cut_and_does_not_look_complete() {
    let mut setting = Setting::new("[server]\ndrain = \"100ms\"\n");
    let mut client = setting.gateway.connect();
    client.send(&stream("one/m+events=8,chars=80,stall_after=4").bytes());
    let mut answer = client.head();
    setting.gateway.signal("INT");
    answer.ended = client.body(&mut answer);
    assert!(answer.ended == Ended::Cut || !answer.error().is_null(), "{answer:?}");
    assert!(!answer.is_done());
    assert_eq!(setting.gateway.wait().code(), Some(0));
}

#[test]
fn e7_sighup_takes_up_a_new_config_and_a_request_in_flight_keeps_its_own() {
    let setting = Setting::new("[models.m]\ntargets = [\"one/old\"]\n");
    let mut client = setting.gateway.connect();
    client.send(&chat("one/m+head_delay=400").bytes());
    eventually("it is on its way", || setting.log().len() == 1);
    let file = setting.gateway.config();
    let old = std::fs::read_to_string(&file).unwrap();
    let new = format!(
        "[models.n]\ntargets = [\"x/new\"]\n[providers.x]\nkind = \"openai\"\nbase_url = \"http://{}/v1\"\nkeys = [{{ value = \"k\" }}]\n",
        setting.sim.addr
    );
    std::fs::write(&file, new).unwrap();
    setting.gateway.signal("HUP");
    setting.gateway.wait_for("config reloaded");
    assert_eq!(setting.chat("n").header("x-tollgate-model"), "new");
    assert_eq!(setting.chat("m").status, 404);
    assert_eq!(client.answer().status, 200);
    std::fs::write(&file, old).unwrap();
    eventually("the file's change is seen without a signal", || setting.chat("m").status == 200);
}

#[test]
fn a_bad_config_is_refused_with_its_errors_and_the_old_one_stays() {
    let setting = Setting::new("[models.m]\ntargets = [\"one/old\"]\n");
    std::fs::write(setting.gateway.config(), "[models.m]\ntargets = [\"nobody/x\"]\nretries = 3\n").unwrap();
    setting.gateway.signal("HUP");
    setting.gateway.wait_for("the old one stays");
    setting.gateway.wait_for("retries");
    assert!(setting.gateway.said().contains("gateway.toml:"), "{}", setting.gateway.said());
    assert_eq!(setting.chat("m").header("x-tollgate-model"), "old");
}

#[test]
fn it_does_not_listen_in_public_while_no_key_is_required() {
    for address in ["0.0.0.0:0", "[::]:0"] {
        let (code, said) = run(&["serve", "--config", "some.toml", "--listen", address], "", &[]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("--open") && said.contains("key"), "{said}");
    }
    let folder = Folder::new();
    let mut open = command(PROGRAM, &folder);
    open.args(["serve", "--listen", "0.0.0.0:0", "--open", "--workers", "1"]);
    let mut gateway = Gateway::run(open, folder);
    gateway.signal("TERM");
    assert_eq!(gateway.wait().code(), Some(0));
    let folder = Folder::new();
    std::fs::write(folder.path().join("keyed.toml"), "[[keys]]\nname = \"k\"\nvalue = \"tg-k\"\n").unwrap();
    let mut keyed = command(PROGRAM, &folder);
    keyed.args(["serve", "--listen", "0.0.0.0:0", "--config", "keyed.toml", "--workers", "1"]);
    drop(Gateway::run(keyed, folder));
}

const GOOD: &str = r#"
[providers.openai]
keys = [{ value = "sk-very-secret" }]
[models.chat]
targets = ["openai/gpt-4o"]
[[keys]]
name = "ci"
value = "tg-very-secret"
"#;

#[test]
fn check_says_what_a_config_resolves_to() {
    let (code, said) = run(&["check", "some.toml"], GOOD, &[]);
    assert_eq!(code, Some(0), "{said}");
    for part in ["no errors", "openai", "https://api.openai.com/v1", "chat", "openai/gpt-4o", "ci"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("secret"), "{said}");
}

#[test]
fn check_names_every_error_with_its_line_and_the_fix() {
    let bad = "[server]\nlisten = \"127.0.0.1:80\"\nmax_bdy = \"1MiB\"\n[providers.openai]\nkeys = [{ value = \"env:NOT_SET\", weight = -1 }]\n\
               [models.chat]\ntargets = [\"opnai/gpt-4o\"]\ndeadline = \"5 parsecs\"\n[[keys]]\nname = \"k\"\nvalue = \"x\"\nbudget = [{ usd = nan, per = \"fortnight\" }]\n";
    let (code, said) = run(&["check", "some.toml"], bad, &[]);
    assert_eq!(code, Some(1), "{said}");
    for part in [
        "some.toml:3:",
        "max_body",
        "NOT_SET",
        "weight",
        "some.toml:7:",
        "openai",
        "deadline",
        "fortnight",
        "fix: ",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let (code, said) = run(&["check", "missing.toml"], "", &[]);
    assert!(code == Some(1) && said.contains("missing.toml"), "{said}");
}

#[test]
fn without_a_config_the_usual_variables_turn_providers_on() {
    let (code, said) = run(
        &["check"],
        "",
        &[
            ("OPENAI_API_KEY", "sk-a-secret"),
            ("ANTHROPIC_API_KEY", "sk-b-secret"),
            ("GEMINI_API_KEY", "c-secret"),
        ],
    );
    assert_eq!(code, Some(0), "{said}");
    for name in ["openai", "anthropic", "gemini"] {
        assert!(said.contains(name), "{said}");
    }
    assert!(!said.contains("secret") && !said.contains("mistral:"), "{said}");
    let folder = Folder::new();
    let mut zero = command(PROGRAM, &folder);
    zero.args(["--listen", "127.0.0.1:0", "--workers", "1"]).env("GROQ_API_KEY", "gsk-secret");
    let gateway = Gateway::run(zero, folder);
    assert!(
        gateway.said().contains("providers: groq") && !gateway.said().contains("secret"),
        "{}",
        gateway.said()
    );
    assert_eq!(gateway.ask(&Request::get("/healthz")).status, 200);
    let listed = gateway.ask(&Request::get("/v1/models")).text();
    assert!(listed.contains("groq/"), "{listed}");
}

#[test]
fn a_config_in_the_folder_is_found() {
    let folder = Folder::new();
    std::fs::write(folder.path().join("tollgate.toml"), "[server]\nlisten = \"127.0.0.1:0\"\n[models.m]\ntargets = [\"gemini/x\"]\n[providers.gemini]\nkey = \"k\"\n").unwrap();
    let gateway = Gateway::run(command(PROGRAM, &folder), folder);
    assert!(gateway.ask(&Request::get("/v1/models/m")).status == 200);
}

#[test]
fn the_demo_answers_in_every_dialect_without_a_network() {
    let folder = Folder::new();
    let mut demo = command(PROGRAM, &folder);
    demo.args(["demo", "--listen", "127.0.0.1:0"]);
    let gateway = Gateway::run(demo, folder);
    gateway.wait_for("curl");
    let listed = gateway.ask(&Request::get("/v1/models")).text();
    for model in ["demo", "demo-claude", "demo-gemini", "demo-bedrock"] {
        assert!(listed.contains(&format!("\"{model}\"")), "{listed}");
        for request in [chat(model), stream(model)] {
            assert_eq!(gateway.ask(&request).said(), "You said: hello", "{model}");
        }
    }
    assert_eq!(gateway.ask(&Request::post("/v1/chat/completions", &question("sim/anything"))).status, 200);
}

#[test]
fn the_command_line_explains_itself() {
    let (code, said) = run(&["--help"], "", &[]);
    assert!(code == Some(0) && said.contains("curl") && said.contains("check"), "{said}");
    let (code, said) = run(&["--version"], "", &[]);
    assert!(code == Some(0) && said.starts_with("tollgate "), "{said}");
    let (code, said) = run(&["srve"], "", &[]);
    assert!(code == Some(2) && said.contains("serve"), "{said}");
}

#[test]
fn it_is_ready_at_once() {
    let soonest = (0..5)
        .map(|_| {
            let start = std::time::Instant::now();
            drop(Gateway::start(PROGRAM, GOOD));
            start.elapsed()
        })
        .min()
        .unwrap();
    println!("ready after {soonest:?}, killed and waited for");
    // Fifty milliseconds are promised; this is unoptimised code on a machine that does other work.
    assert!(soonest < std::time::Duration::from_secs(2), "{soonest:?}");
}
