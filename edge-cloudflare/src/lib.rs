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
mod upstream; // `fetch`
mod leaving; // whether the client is still there
mod isolate; // what an isolate keeps between requests
mod settings; // the config, and where it comes from
mod ledger; // the way to the Durable Objects
mod people; // who there is, as an isolate knows it
mod issuers; // keys of tokens' issuers
mod answers; // answers that are kept
mod usage; // records for others
mod alert; // budgets that run out
mod host; // what an exchange runs on
mod visit; // one request

mod storage; // SQL of a Durable Object
mod object; // the Durable Object
mod registry; // the one that knows who there is

use worker::{Context, Env, HttpRequest, Response, event};

#[event(fetch)]
async fn fetch(request: HttpRequest, env: Env, context: Context) -> worker::Result<Response> {
    visit::answer(request, env, context).await
}
