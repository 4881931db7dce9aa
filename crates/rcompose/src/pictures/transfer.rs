//! Several transfers at once, with their progress: a line for each image, and on a terminal one for each layer.

use std::collections::BTreeMap;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};

use rcompose_image::LayerState;

use super::fetch::Bytes;
use crate::context::Context;
use crate::failure::Failure;
use crate::progress::{FRAME, Progress};

/// What it is called.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words {
    /// Above the tree.
    pub(super) title: &'static str,
    pub(super) doing: &'static str,
    pub(super) did: &'static str,
}

/// Hears how far a layer is, by its digest.
pub(super) type Tell<'a> = &'a (dyn Fn(&str, Bytes) + Sync);

enum News<T> {
    Bytes { layer: String, bytes: Bytes },
    Done(Result<T, Failure>),
}

/// Does all, each in a thread of its own; returns what became of each.
pub(super) fn transfer<T: Send>(
    cx: &Context,
    words: Words,
    subjects: &[String],
    quiet: bool,
    work: impl Fn(usize, Tell<'_>) -> Result<T, Failure> + Sync,
) -> Vec<Result<T, Failure>> {
    let mut progress = (!quiet && !subjects.is_empty()).then(|| Progress::new(cx, words.title));
    let mut results: BTreeMap<usize, Result<T, Failure>> = BTreeMap::new();
    let (tell, hear) = mpsc::channel();
    std::thread::scope(|scope| {
        for (i, subject) in subjects.iter().enumerate() {
            let (tell, work): (Sender<(usize, News<T>)>, _) = (tell.clone(), &work);
            if let Some(p) = &mut progress {
                p.begin(subject, words.doing);
            }
            scope.spawn(move || {
                let result = work(i, &|layer, bytes| {
                    // The receiver lives as long as this thread.
                    drop(tell.send((i, News::Bytes { layer: layer.to_owned(), bytes })));
                });
                drop(tell.send((i, News::Done(result))));
            });
        }
        drop(tell);
        // What has been heard since the last picture.
        let mut layers: Vec<BTreeMap<String, Bytes>> = vec![BTreeMap::new(); subjects.len()];
        loop {
            let moves = progress.as_ref().is_some_and(Progress::moves);
            let news = if moves { hear.recv_timeout(FRAME) } else { hear.recv().map_err(Into::into) };
            match news {
                Ok((i, News::Bytes { layer, bytes })) => {
                    let before = layers[i].insert(layer.clone(), bytes);
                    let turned = before.is_none_or(|b| b.state != bytes.state);
                    if let Some(p) = progress.as_mut().filter(|_| turned) {
                        show(p, &layer, bytes);
                    }
                }
                Ok((i, News::Done(result))) => {
                    if let Some(p) = &mut progress {
                        match result.is_ok() {
                            true => p.done(&subjects[i], words.did),
                            false => p.failed(&subjects[i], "Error"),
                        }
                    }
                    layers[i].clear();
                    results.insert(i, result);
                }
                Err(RecvTimeoutError::Timeout) => {
                    let Some(p) = &mut progress else { continue };
                    for (i, subject) in subjects.iter().enumerate().filter(|(i, _)| !layers[*i].is_empty()) {
                        p.say(subject, &amount(words.doing, &layers[i]));
                        for (layer, bytes) in layers[i].iter().filter(|(_, b)| moving(b.state)) {
                            show(p, layer, *bytes);
                        }
                    }
                    p.tick();
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
    });
    if let Some(p) = &mut progress {
        p.finish();
    }
    results.into_values().collect()
}

fn moving(state: LayerState) -> bool {
    matches!(state, LayerState::Downloading | LayerState::Uploading)
}

fn show(progress: &mut Progress, layer: &str, bytes: Bytes) {
    let id = format!("  {}", layer.get(..12).unwrap_or(layer));
    let amount = || format!("{:.1}MB / {:.1}MB", mb(bytes.have), mb(bytes.total));
    match bytes.state {
        LayerState::Waiting => progress.say(&id, "Waiting"),
        LayerState::Downloading => progress.say(&id, &format!("Downloading {}", amount())),
        LayerState::Uploading => progress.say(&id, &format!("Pushing {}", amount())),
        LayerState::Present => progress.say_done(&id, "Already exists"),
        LayerState::Mounted => progress.say_done(&id, "Mounted"),
        LayerState::Done => progress.say_done(&id, "Complete"),
    }
}

fn mb(n: u64) -> f64 {
    n as f64 / 1e6
}

/// `Pulling 12.3MB / 45.6MB`
fn amount(doing: &str, layers: &BTreeMap<String, Bytes>) -> String {
    let wanted = || layers.values().filter(|b| b.state != LayerState::Present);
    let (have, total) = (wanted().map(|b| b.have).sum(), wanted().map(|b| b.total).sum());
    format!("{doing} {:.1}MB / {:.1}MB", mb(have), mb(total))
}
