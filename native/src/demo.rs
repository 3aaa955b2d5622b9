//! `tollgate demo`: the gateway and a simulated provider in one process.

use crate::serve::{self, Plan};
use crate::settings::{Exposure, Overrides, Problems, Source};
use std::net::SocketAddr;
use std::process::ExitCode;

/// What can be tried, for whoever has just started it.
const GREETING: &str = r#"
A simulated provider answers; nothing leaves this machine. Try:

  curl {url}/v1/chat/completions -H 'content-type: application/json' \
    -d '{"model": "demo", "messages": [{"role": "user", "content": "hello"}]}'

  curl -N {url}/v1/chat/completions -H 'content-type: application/json' \
    -d '{"model": "demo", "stream": true, "messages": [{"role": "user", "content": "hello"}]}'

  curl {url}/v1/models

The model demo-claude reaches the same provider in Anthropic's format, demo-gemini in Gemini's,
demo-bedrock in AWS Bedrock's, by signed requests.
Ctrl-C stops it."#;

/// Starts both and runs until told to stop.
pub fn run(listen: String) -> Result<ExitCode, Problems> {
    let sim = simulate().map_err(|error| format!("could not start the simulated provider: {error}"))?;
    serve::run(Plan {
        source: Source::Text { name: "demo", text: document(sim) },
        overrides: Overrides { listen: Some(listen), exposure: Exposure::Guarded },
        workers: None,
        greeting: Some(GREETING.to_owned()),
    })
}

fn document(sim: SocketAddr) -> String {
    let provider = |name: &str, kind: &str, path: &str| {
        format!(
            "[providers.{name}]\nkind = \"{kind}\"\nbase_url = \"http://{sim}/{path}\"\nkeys = [{{ value = \"sim\" }}]\n\n"
        )
    };
    let route = |name: &str, provider: &str| format!("[models.{name}]\ntargets = [\"{provider}/demo\"]\n\n");
    provider("sim", "openai", "v1")
        + &provider("sim-anthropic", "anthropic", "v1")
        + &provider("sim-gemini", "gemini", "v1beta")
        + &format!(
            "[providers.sim-bedrock]\nkind = \"bedrock\"\nbase_url = \"http://{sim}\"\nregion = \"us-east-1\"\n\
             keys = [{{ access_key_id = \"sim\", secret_access_key = \"sim\" }}]\n\n"
        )
        + &route("demo", "sim")
        + &route("demo-claude", "sim-anthropic")
        + &route("demo-gemini", "sim-gemini")
        + &route("demo-bedrock", "sim-bedrock")
}

/// A provider on a port of its own that only this machine reaches.
fn simulate() -> std::io::Result<SocketAddr> {
    let sim = tollgate_sim::Sim::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let address = sim.local_addr();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("sim".to_owned()).spawn(move || runtime.block_on(sim.serve()))?;
    Ok(address)
}
