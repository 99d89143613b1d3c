//! Who calls the port of writers without the protocol's name.

use record::frame::{Frame, Hello};
use record::samples::{proxy_stream, uid};

use super::authority::Authority;
use super::caller::Caller;
use super::figures::becomes;
use super::log::Log;
use super::runtime;

#[test]
fn who_does_not_say_which_protocol_it_speaks_is_not_answered() {
    runtime().block_on(async {
        let authority = Authority::new();
        let mut log = Log::start(&authority).await;
        let config = authority.client(&format!("keyhole://proxy/{}", uid(1)));
        let mut caller = Caller::as_it_is(&log, config.into()).await.unwrap();
        let hello = Hello { head: record::Head::default(), stream: proxy_stream(1, 1) };
        let mut bytes = Vec::new();
        Frame::Hello(hello).encode(&mut bytes).unwrap();
        // It may be closed already.
        let _ = caller.puts_bytes(&bytes).await;
        assert!(!matches!(caller.hears().await, Ok(Some(_))), "it is answered");
        becomes(&log, "keyhole_log_turned_away_total", |count| count == 1.0).await;
        log.stop().await;
    });
}
