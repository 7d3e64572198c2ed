//! The threads that deliver.

use crate::harness::App;
use refloop::domain::delivery::{DeliveryKind, Outcome};
use refloop::engine::Begun;
use refloop::work::{Couriers, Receiver};
use std::sync::mpsc::{Receiver as Inbox, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Says what it was told, and answers when it is let.
struct Slow {
    told: Sender<i64>,
    let_go: Mutex<Inbox<()>>,
}

impl Receiver for Slow {
    fn kind(&self) -> DeliveryKind {
        DeliveryKind::Mail
    }

    fn tell(&self, begun: &Begun) -> Outcome {
        let _ = self.told.send(begun.delivery.tries);
        // An error: nobody is there to let it any more.
        match self.let_go.lock().unwrap().recv() {
            Ok(()) => Outcome::Done(None),
            Err(_) => Outcome::Unclear("never answered".into()),
        }
    }
}

fn slow() -> (Slow, Inbox<i64>, Sender<()>) {
    let (told, seen) = channel();
    let (release, let_go) = channel();
    (Slow { told, let_go: Mutex::new(let_go) }, seen, release)
}

const LONG: Duration = Duration::from_secs(60);

#[test]
fn new_rows_are_delivered_by_themselves_one_after_the_other() {
    let app = App::start();
    let (receiver, seen, release) = slow();
    let couriers = Couriers::start(&app.engine, vec![Box::new(receiver)]).unwrap();
    super::outbox::queue(&app, 0..2);
    assert_eq!(seen.recv_timeout(LONG).unwrap(), 1);
    super::outbox::queue(&app, 2..3);
    for _ in 0..2 {
        release.send(()).unwrap();
        assert_eq!(seen.recv_timeout(LONG).unwrap(), 1);
    }
    release.send(()).unwrap();
    // The end waits for what is about to be noted.
    drop(couriers);
    assert!(app.engine.open_deliveries("default").unwrap().is_empty());
}

#[test]
fn the_end_does_not_wait_for_a_receiver_that_hangs_and_nothing_is_kept_open() {
    let app = App::start();
    super::outbox::queue(&app, 0..1);
    let before = Arc::strong_count(&app.engine);
    let (receiver, seen, release) = slow();
    let couriers = Couriers::start(&app.engine, vec![Box::new(receiver)]).unwrap();
    seen.recv_timeout(LONG).unwrap();
    drop(couriers);
    assert_eq!(Arc::strong_count(&app.engine), before);
    let open = app.engine.open_deliveries("default").unwrap();
    assert_eq!((open[0].state.as_str(), open[0].tries, open[0].problem.as_deref()), ("waiting", 1, None));
    drop(release);
}
