//! Plays cases on one host.

use super::case::{Case, Place};
use super::host::Launcher;
use super::report::{Played, Verdict};
use super::scene::{Scene, message};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

/// Plays them in order, those of an area that share a gateway on one; tells of each as it ends.
pub fn play(launcher: &Launcher, cases: &[Case], tell: &mut dyn FnMut(&Played)) -> Vec<Played> {
    let mut all = Vec::new();
    let mut tell = |played: Played| {
        tell(&played);
        all.push(played);
    };
    for area in cases.chunk_by(|one, next| one.area == next.area) {
        let (here, elsewhere): (Vec<_>, Vec<_>) =
            area.iter().partition(|case| !case.script.not_on.contains_key(&launcher.kind));
        for case in elsewhere {
            let why = case.script.not_on[&launcher.kind].clone();
            tell(Played::new(case, Verdict::NotHere(why), Instant::now()));
        }
        let (shared, own): (Vec<_>, Vec<_>) =
            here.into_iter().partition(|case| case.script.place == Place::Shared);
        play_together(launcher, &shared, &mut tell);
        for case in own {
            let begun = Instant::now();
            tell(Played::new(case, verdict(|| play_alone(launcher, case)), begun));
        }
    }
    all
}

/// On one gateway; after a failure the rest gets a fresh one.
fn play_together(launcher: &Launcher, cases: &[&Case], tell: &mut dyn FnMut(Played)) {
    let mut rest = cases;
    while !rest.is_empty() {
        let mut scene = None;
        let begun = Instant::now();
        let opened = verdict(|| {
            scene = Some(Scene::open(launcher, Place::Shared, cases)?);
            Ok(())
        });
        let Some(mut open) = scene else {
            rest.iter().for_each(|case| tell(Played::new(case, opened.clone(), begun)));
            return;
        };
        while let Some((case, after)) = rest.split_first() {
            rest = after;
            let begun = Instant::now();
            let mut outcome = verdict(|| open.play(case)).with(|| open.last_words());
            let failed = outcome != Verdict::Passed;
            if rest.is_empty() && !failed {
                outcome = verdict(|| open.close());
                tell(Played::new(case, outcome, begun));
                return;
            }
            tell(Played::new(case, outcome, begun));
            if failed {
                break;
            }
        }
    }
}

fn play_alone(launcher: &Launcher, case: &Case) -> Result<(), String> {
    if !case.script.refused.is_empty() {
        return Scene::refuses(launcher, case);
    }
    let mut scene = Scene::open(launcher, case.script.place, &[case])?;
    match verdict(|| scene.play(case)).with(|| scene.last_words()) {
        Verdict::Failed(why) => Err(why),
        Verdict::Passed | Verdict::NotHere(_) => scene.close(),
    }
}

fn verdict(play: impl FnOnce() -> Result<(), String>) -> Verdict {
    match catch_unwind(AssertUnwindSafe(play)) {
        Ok(Ok(())) => Verdict::Passed,
        Ok(Err(why)) => Verdict::Failed(why),
        Err(panic) => Verdict::Failed(message(&*panic)),
    }
}
