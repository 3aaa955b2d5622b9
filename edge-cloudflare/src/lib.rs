//! The gateway on Cloudflare Workers.
//!
//! ```text
//!   client ─▶ fetch event ─▶ settings (KV, secrets; cached in the isolate)
//!                 │
//!                 ▼
//!            edge's front ─▶ exchange ─▶ drive, in `wait_until` ─▶ upstreams by `fetch`
//!                 │               │
//!                 │ /api          └─ reserve, settle ─▶ Durable Object `book:ORGANISATION`
//!                 └─────────────────────────────────▶ Durable Object `registry`
//! ```
//! In reading order:
#![cfg(target_arch = "wasm32")]

mod clock; // the time
mod entropy; // the runtime's randomness
mod timer; // `setTimeout`
mod glue; // the runtime's requests and answers
mod incoming; // a request as it came
mod outlet; // an answer as it goes
mod upstream; // `fetch`
mod leaving; // whether the client is still there
mod bound; // what it was deployed with
mod isolate; // what an isolate keeps between requests
mod settings; // the config, and where it comes from
mod ledger; // the way to the Durable Objects
mod people; // who there is, as an isolate knows it
mod issuers; // keys of tokens' issuers
mod answers; // answers that are kept
mod usage; // records for others
mod alert; // budgets that run out
#[cfg(feature = "exact-count")]
mod exact; // counts by tokenizers
mod bug; // panics, as they are told
mod owed; // what a request holds
mod host; // what an exchange runs on
mod session; // realtime sessions
mod visit; // one request

mod storage; // SQL of a Durable Object
mod object; // the Durable Object
mod registry; // the one that knows who there is

#[cfg(feature = "panics")]
mod panics; // on demand

use worker::{Context, Env, event};

#[event(fetch)]
async fn fetch(request: web_sys::Request, env: Env, context: Context) -> worker::Result<web_sys::Response> {
    visit::answer(request, env, context).await
}
