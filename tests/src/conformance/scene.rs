//! A gateway, the provider behind it, and a case being played on them.

use super::case::{BASE, Case, Place};
use super::expect::{Expect, shown};
use super::flight::{Flight, ask};
use super::host::{Host, Launcher, Told};
use super::matcher::at;
use super::provider::Provider;
use super::session;
use super::step::{Deed, Manner, Opens, Outcome, Planned, Whom};
use super::words::Words;
use crate::http::{Answer, PATIENCE, Request};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Barrier, mpsc};
use std::time::{Duration, Instant};

/// What opens the admin API.
const ADMIN: &str = "planted-admin-key";

/// Between two looks at what may take a moment.
const PAUSE: Duration = Duration::from_millis(10);

/// A gateway that is told what some cases say, and a provider.
#[derive(Debug)]
pub struct Scene {
    host: Host,
    provider: Provider,
    place: Place,
    parts: BTreeMap<String, String>,
}

/// A case under way.
struct Played<'a> {
    scene: &'a mut Scene,
    case: &'a Case,
    words: Words,
    flights: BTreeMap<String, Flight>,
}

impl Scene {
    /// Starts a gateway for cases of one place. An error is what it said instead of serving.
    pub fn open(launcher: &Launcher, place: Place, cases: &[&Case]) -> Result<Self, String> {
        let provider = Provider::start();
        let server: String = cases.iter().map(|case| case.script.server.as_str()).collect();
        let words = words(&Words::default().with("server", &server), &provider);
        let filled = |case: &&Case| (case.id(), words.fill(&case.part(&case.script.config)));
        let parts: BTreeMap<_, _> = cases.iter().map(filled).collect();
        let mut env = BTreeMap::from([
            ("TOLLGATE_ADMIN_KEY".to_owned(), ADMIN.to_owned()),
            ("PROVIDER_ONE_KEY".to_owned(), "one-planted-provider-key".to_owned()),
        ]);
        env.extend(cases.iter().flat_map(|case| case.script.env.clone()));
        let gateways = cases.iter().map(|case| case.script.gateways).max().unwrap_or(1);
        let told = Told { document: document(place, &parts, &words), env, gateways };
        Ok(Self { host: Host::start(launcher, told)?, provider, place, parts })
    }

    /// Plays one of its cases; the error says which step came to something else, and to what.
    pub fn play(&mut self, case: &Case) -> Result<(), String> {
        self.provider.reset();
        let words = words(&case.words.clone().with("server", &case.script.server), &self.provider);
        let mut played = Played { scene: self, case, words, flights: BTreeMap::new() };
        for (at, step) in case.script.steps.iter().enumerate() {
            let step = case.step(step, &played.words).and_then(|step| step.plan(&case.secret()));
            let told = step.and_then(|planned| played.perform(planned));
            told.map_err(|why| format!("step {}: {why}", at + 1))?;
        }
        Ok(())
    }

    /// The end of what the gateway has said, for whoever looks for a cause.
    pub fn last_words(&self) -> String {
        const MOST: usize = 1500;
        let said = self.host.said();
        let start = said.char_indices().nth_back(MOST).map_or(0, |(at, _)| at);
        format!("\n    the gateway said: {}", said[start..].trim_end())
    }

    /// Stops the gateway; an error if it does not end well.
    pub fn close(mut self) -> Result<(), String> {
        self.host.stop()
    }

    /// That a wrong document is refused: at the start, or with each call.
    pub fn refuses(launcher: &Launcher, case: &Case) -> Result<(), String> {
        let said = match Self::open(launcher, case.script.place, &[case]) {
            Err(said) => said,
            Ok(scene) => {
                let body =
                    serde_json::json!({"model": "m", "messages": [{"role": "user", "content": "hello"}]});
                let answer = ask(scene.host.addresses()[0], &Request::post("/v1/chat/completions", &body));
                let error = super::answer::error(&answer);
                if (answer.status, &error["type"]) != (503, &"api_error".into()) {
                    return Err(format!("it serves: {}", shown(&answer)));
                }
                error["message"].as_str().unwrap_or_default().to_owned()
            }
        };
        match case.script.refused.iter().find(|part| !said.contains(part.as_str())) {
            Some(missing) => Err(format!("no {missing:?} in what it says: {said}")),
            None => Ok(()),
        }
    }
}

fn words(own: &Words, provider: &Provider) -> Words {
    own.clone().with("sim", &provider.address()).with("admin", ADMIN)
}

fn document(place: Place, parts: &BTreeMap<String, String>, words: &Words) -> String {
    let base = match place {
        Place::Shared | Place::Alone => words.fill(BASE),
        Place::Bare => String::new(),
    };
    parts.values().fold(base, |document, part| document + part)
}

impl Played<'_> {
    fn perform(&mut self, planned: Planned) -> Result<(), String> {
        let Planned { deed, outcome } = planned;
        let answers = match deed {
            Deed::Call(request, whom, manner) => self.call(&request, whom, manner, &outcome)?,
            Deed::Hold(handshake, whom, talk) => {
                vec![session::hold(self.addresses(whom)[0], &handshake, &talk)]
            }
            Deed::Read(name, events) => {
                let flight = self.flights.get_mut(&name).ok_or_else(|| unknown(&name))?;
                flight.read_events(events)?;
                Vec::new()
            }
            Deed::Leave(name) => {
                self.take(&name)?.leave();
                Vec::new()
            }
            Deed::Finish(name) => vec![self.take(&name)?.finish()],
            Deed::Open(gate, permits) => {
                self.scene.provider.open(&gate, permits);
                Vec::new()
            }
            Deed::Restart(stop) => {
                self.scene.host.restart(stop)?;
                Vec::new()
            }
            Deed::Reload(config) => {
                self.reload(&config);
                Vec::new()
            }
            Deed::Look => Vec::new(),
        };
        self.judge(&answers, &outcome)
    }

    fn take(&mut self, name: &str) -> Result<Flight, String> {
        self.flights.remove(name).ok_or_else(|| unknown(name))
    }

    /// Where those that are meant listen.
    fn addresses(&self, whom: Whom) -> Vec<SocketAddr> {
        let addresses = self.scene.host.addresses();
        match whom {
            // Where gateways cannot be told apart they take turns by themselves.
            Whom::One(number) => vec![addresses[number % addresses.len()]],
            Whom::Each => addresses,
        }
    }

    fn call(
        &mut self,
        request: &Request,
        whom: Whom,
        manner: Manner,
        outcome: &Outcome,
    ) -> Result<Vec<Answer>, String> {
        let addresses = self.addresses(whom);
        let provider = &self.scene.provider;
        let mut turns = addresses.iter().copied().cycle();
        let mut next = || turns.next().unwrap_or(addresses[0]);
        match manner {
            Manner::InTurn(times) => Ok((0..times).map(|_| ask(next(), request)).collect()),
            Manner::AtOnce(count, opens) => {
                let all: Vec<_> = (0..count).map(|_| next()).collect();
                at_once(&all, request, opens.as_ref(), provider)
            }
            Manner::UnderWay(name) => {
                self.flights.insert(name, Flight::start(next(), request));
                Ok(Vec::new())
            }
            Manner::Until => {
                let expect = outcome.expect.as_ref().ok_or("nothing is expected")?;
                let end = Instant::now() + PATIENCE;
                loop {
                    let answer = ask(next(), request);
                    if expect.check(&answer, provider).is_ok() || Instant::now() > end {
                        return Ok(vec![answer]);
                    }
                    std::thread::sleep(PAUSE);
                }
            }
        }
    }

    fn reload(&mut self, config: &str) {
        let Scene { host, place, parts, .. } = &mut *self.scene;
        parts.insert(self.case.id(), self.words.fill(&self.case.part(config)));
        host.reload(&document(*place, parts, &self.words));
    }

    fn judge(&mut self, answers: &[Answer], outcome: &Outcome) -> Result<(), String> {
        let Outcome { expect, statuses, each, sim, save } = outcome;
        let provider = &self.scene.provider;
        if !statuses.is_empty() {
            let mut found: BTreeMap<String, usize> = BTreeMap::new();
            for answer in answers {
                *found.entry(answer.status.to_string()).or_default() += 1;
            }
            if found != *statuses {
                let odd = answers.iter().find(|answer| !statuses.contains_key(&answer.status.to_string()));
                let odd = odd.map_or(String::new(), |answer| format!(": {}", shown(answer)));
                return Err(format!("found {found:?}, expected {statuses:?}{odd}"));
            }
        }
        let check = |expect: &Expect, answer: &Answer| expect.check(answer, provider);
        for answer in answers {
            expect.as_ref().map_or(Ok(()), |expect| check(expect, answer))?;
            each.get(&answer.status.to_string()).map_or(Ok(()), |expect| check(expect, answer))?;
        }
        if let Some(seen) = sim {
            let end = Instant::now() + PATIENCE / 2;
            while let Err(why) = seen.check(provider) {
                if Instant::now() > end {
                    return Err(why);
                }
                std::thread::sleep(PAUSE);
            }
        }
        for (name, path) in save {
            let answer = answers.last().ok_or("there is no answer to save from")?;
            let found = at(&answer.json(), path);
            let text =
                found.as_str().ok_or_else(|| format!("nothing to save at {path}: {}", shown(answer)))?;
            self.words.set(name, text);
        }
        Ok(())
    }
}

fn unknown(name: &str) -> String {
    format!("no request is under way under the name {name}")
}

/// All at once, each on a connection of its own. The gate opens when so many have been answered.
fn at_once(
    addresses: &[SocketAddr],
    request: &Request,
    opens: Option<&Opens>,
    provider: &Provider,
) -> Result<Vec<Answer>, String> {
    let ready = Barrier::new(addresses.len());
    let (tell, told) = mpsc::channel();
    std::thread::scope(|scope| {
        for &address in addresses {
            let (tell, ready) = (tell.clone(), &ready);
            scope.spawn(move || {
                ready.wait();
                let answer = std::panic::catch_unwind(|| ask(address, request));
                let _ = tell.send(answer.map_err(|panic| message(&*panic)));
            });
        }
        drop(tell);
        gather(&told, opens, provider)
    })
}

fn gather(
    told: &mpsc::Receiver<Result<Answer, String>>,
    opens: Option<&Opens>,
    provider: &Provider,
) -> Result<Vec<Answer>, String> {
    let mut answers = Vec::new();
    let mut closed = opens;
    let mut end = Instant::now() + PATIENCE / 2;
    loop {
        let late = Instant::now() > end;
        // Late means that too few were refused, so that more wait at the gate than should: they are counted.
        if let Some(Opens { gate, after, calls }) = closed
            && (late || (answers.len() >= *after && provider.calls() >= *calls))
        {
            provider.open(gate, None);
            closed = None;
            end = Instant::now() + PATIENCE / 2;
        } else if late {
            return Err(format!("only {} were answered", answers.len()));
        }
        match told.recv_timeout(PAUSE) {
            Ok(answer) => answers.push(answer?),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(answers),
        }
    }
}

/// What a panic said.
pub fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked").to_owned()
}
