//! What readers hear: each question, and each refusal.

use std::time::Duration;

use record::samples::{salted, uid};
use record::texts::Texts;
use serde_json::Value;
use tlog::{Holds, TileName};

use super::reading::{Reader, Scene, kinds, reads};
use super::runtime;

#[test]
fn records_are_found_by_what_they_are_about() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let all = scene.reader("audit/*");
        let of_proxy = ["open", "owner", "credential", "session-open", "statement", "outcome", "statement"];
        let of_grant = [&["pod"][..], &of_proxy].concat();
        assert_eq!(all.finds("user=reader%40shop.example").await, of_grant);
        assert_eq!(all.finds(&format!("grant={}", uid(2))).await, of_grant);
        assert_eq!(all.finds("namespace=bank").await, [&["request"][..], &of_grant].concat());
        assert_eq!(all.finds("table=bank.salaries").await, ["statement", "statement"]);
        assert_eq!(all.finds("kind=statement&namespace=shop&table=bank.salaries").await, [""; 0]);
        assert_eq!(all.finds("kind=start").await, ["start"]);
        // All of the proxies' and the operator's records are of one moment.
        assert_eq!(all.finds("kind=pod&from=2027-01-15T08:00:00Z&to=2027-01-15T08:00:01Z").await.len(), 2);
        assert_eq!(all.finds("kind=pod&from=2027-01-15T08:00:01Z").await.len(), 0);
        assert_eq!(all.finds("kind=pod&to=2027-01-15").await.len(), 0);
        assert_eq!(scene.reader("operator").finds("kind=pod").await.len(), 2);

        let first = all.hears(200, "/v1/search?kind=statement&limit=3").await;
        assert_eq!((kinds(&first).len(), &first["complete"]), (3, &Value::Bool(false)));
        let rest = all.hears(200, &format!("/v1/search?kind=statement&after={}", first["next"])).await;
        assert_eq!((kinds(&rest).len(), &rest["next"]), (1, &Value::Null));
        assert_eq!(rest["indexed"], rest["size"]);

        let story = all.hears(200, &format!("/v1/story/{}", uid(1))).await;
        assert_eq!(kinds(&story), [&["request"][..], &of_grant].concat());
    });
}

#[test]
fn streams_are_told_and_what_is_not_over_in_them() {
    runtime().block_on(async {
        let mut scene = Scene::new().await;
        let all = scene.reader("audit/*");
        let path = format!("/v1/grants/{}", uid(1));
        let answer = all.hears(200, &path).await;
        let stream = &answer["streams"][0];
        assert_eq!(
            (&stream["count"], &stream["closed"], &stream["from"]),
            (&7.into(), &false.into(), &"log".into())
        );
        let head = scene.shop.head().last.unwrap().to_string();
        assert_eq!(stream["head"], head.as_str());

        let [pod] = &answer["pods"].as_array().unwrap()[..] else { panic!("{answer}") };
        assert_eq!((&pod["record"]["kind"], &pod["record"]["grant"]), (&"pod".into(), &answer["grant"]));

        let open = all.hears(200, "/v1/open").await;
        let streams = open["streams"].as_array().unwrap();
        assert_eq!(streams.len(), 2);
        for part in ["pod", "owner", "credential"] {
            assert_eq!(streams[0][part]["record"]["kind"], part);
        }
        assert_eq!(streams[0]["sessions"].as_array().unwrap().len(), 1);
        assert_eq!(streams[0]["statements"].as_array().unwrap().len(), 1);
        scene.log.stop().await;
        scene.log.start_again().await;
        scene.is_indexed().await;
        assert_eq!(scene.reader("audit/*").hears(200, &path).await["streams"], answer["streams"]);
    });
}

#[test]
fn a_grant_without_receipt_is_told_as_unended_and_nothing_of_it_after() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let (operator, shop) = (scene.reader("operator"), scene.reader("audit/shop"));
        let all = operator.hears(200, "/v1/unended").await;
        let entries = all["entries"].as_array().unwrap();
        let namespaces: Vec<_> =
            entries.iter().map(|one| &one["pod"]["record"]["what"]["namespace"]).collect();
        assert_eq!(namespaces, ["bank", "shop"], "the newest first");
        for one in entries {
            assert_eq!((&one["pod"]["record"]["kind"], &one["more"]), (&"pod".into(), &0.into()));
            let [credential] = &one["credentials"].as_array().unwrap()[..] else { panic!("{one}") };
            let kind = &credential["record"]["kind"];
            assert_eq!((kind, &credential["over"]), (&"credential".into(), &Value::Null));
            assert_eq!(credential["record"]["grant"], one["pod"]["record"]["grant"]);
        }
        assert_eq!((&all["next"], &all["complete"]), (&Value::Null, &true.into()));
        assert_eq!(all["indexed"], all["size"]);
        let before = &entries[0]["pod"]["index"];
        let rest = operator.hears(200, &format!("/v1/unended?before={before}")).await;
        assert_eq!(rest["entries"], Value::from(vec![entries[1].clone()]));
        assert_eq!(shop.hears(200, "/v1/unended").await["entries"], rest["entries"]);
        scene.reader("erase/*").is_refused(403, "/v1/unended").await;
        operator.is_refused(400, "/v1/unended?after=1").await;

        scene.ends(1).await;
        assert_eq!(shop.hears(200, "/v1/unended").await["entries"], Value::from(Vec::<Value>::new()));
        assert_eq!(shop.hears(200, "/v1/open").await["streams"], Value::from(Vec::<Value>::new()));
        let path = format!("/v1/grants/{}", uid(1));
        assert_eq!(operator.hears(200, &path).await["pods"], Value::from(Vec::<Value>::new()));
        let left = operator.hears(200, "/v1/unended").await;
        assert_eq!(left["entries"], Value::from(vec![entries[0].clone()]));
        // While there is no index, nothing there is not told as all that there is.
        std::fs::remove_file(scene.index()).unwrap();
        let none = operator.hears(200, "/v1/unended").await;
        assert_eq!(none["complete"], false, "{none}");
    });
}

#[test]
fn an_auditor_of_one_namespace_sees_nothing_of_another() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let (all, shop) = (scene.reader("audit/*"), scene.reader("audit/shop"));
        let answer = shop.hears(200, "/v1/search").await;
        assert_eq!(kinds(&answer).len(), 9);
        let text = answer.to_string();
        assert!(text.contains("shop.orders") && !text.contains("bank") && !text.contains("start"), "{text}");
        assert_eq!(shop.finds("table=bank.salaries").await, [""; 0]);
        assert_eq!(shop.finds("user=reader%40bank.example").await, [""; 0]);
        assert_eq!(shop.finds(&format!("grant={}", uid(2))).await, [""; 0]);
        let open = shop.hears(200, "/v1/open").await;
        assert_eq!(open["streams"].as_array().unwrap().len(), 1);
        assert!(!open.to_string().contains("bank"));
        shop.hears(200, &format!("/v1/story/{}", uid(1))).await;
        let index = all.first("table=bank.salaries").await;
        for path in [
            "/v1/search?namespace=bank".to_owned(),
            format!("/v1/story/{}", uid(2)),
            format!("/v1/grants/{}", uid(2)),
            // What is not there is told as what is not theirs.
            format!("/v1/story/{}", uid(77)),
            format!("/v1/grants/{}", uid(77)),
            format!("/v1/texts/{index}"),
            "/v1/texts/100000".to_owned(),
            "/checkpoint".to_owned(),
            "/v1/checkpoint".to_owned(),
            "/tile/entries/000.p/1".to_owned(),
        ] {
            let said = shop.is_refused(403, &path).await;
            assert!(said.contains("certificate") && !said.contains("bank"), "{path}: {said}");
        }
        // Of a copy they get their own texts alone.
        let size = all.hears(200, "/v1/search?limit=1").await["indexed"].as_u64().unwrap();
        let mut opened = Vec::new();
        for reader in [&all, &shop] {
            let file = reader.gets(&format!("/v1/texts?from=0&to={size}")).await;
            let name = TileName::in_tree(Holds::Entries, 0, size).unwrap();
            let texts = Texts::parse(name, &file).unwrap();
            opened.push(texts.texts().iter().flatten().map(|text| text.to_vec()).collect::<Vec<_>>());
        }
        assert_eq!(opened[0].len(), 4);
        assert_eq!(opened[1], ["SELECT * FROM shop.orders", "SELECT 2 FROM shop.orders"].map(salted));
    });
}

#[test]
fn who_is_nobody_here_gets_no_answer_and_who_erases_reads_nothing() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        for uri in ["proxy/x", "log", "audit/Shop", "auditor"] {
            assert_eq!(scene.reader(uri).sends("GET", "/v1/search", "").await, None, "{uri}");
        }
        let eraser = scene.reader("erase/*");
        let (story, grant) = (format!("/v1/story/{}", uid(1)), format!("/v1/grants/{}", uid(1)));
        for path in
            ["/v1/search", "/v1/open", "/checkpoint", "/v1/texts?from=0&to=1", "/v1/texts/1", &story, &grant]
        {
            eraser.is_refused(403, path).await;
        }
    });
}

#[test]
fn a_question_that_is_none_is_refused_by_name() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let all = scene.reader("audit/*");
        for (path, said) in [
            ("/v1/search?usr=a", "`usr` is no parameter"),
            ("/v1/search?limit=1001", "`limit` must be"),
            ("/v1/open?limit=1", "`limit` is no parameter"),
            ("/v1/story/a.b", "no uid"),
            ("/v1/grants/..", "no uid"),
            ("/v1/texts", "give `from` and `to`"),
            ("/v1/texts?from=1&to=2", "multiple of 256"),
            ("/v1/texts?from=0&to=257", "multiple of 256"),
            ("/v1/texts/x", "is a number"),
        ] {
            let answer = all.is_refused(400, path).await;
            assert!(answer.contains(said), "{path}: {answer}");
        }
        for path in
            ["/v1/nothing", "/tile/9/000", "/v1/texts/0", "/v1/texts/9999", "/v1/texts?from=256&to=512"]
        {
            all.is_refused(404, path).await;
        }
        all.is_refused(404, &format!("/v1/story/{}", uid(77))).await;
        let (status, body) = all.sends("POST", "/v1/search", "").await.unwrap();
        assert_eq!(status, 405, "{}", String::from_utf8_lossy(&body));
        let header = format!("/v1/search?user={}", "x".repeat(20_000));
        assert_ne!(all.sends("GET", &header, "").await.map(|(status, _)| status), Some(200));
    });
}

#[test]
fn a_text_is_answered_after_its_reading_is_on_record_and_not_after_its_erasure() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let (all, shop) = (scene.reader("audit/*"), scene.reader("audit/shop"));
        let index = all.first("table=shop.orders").await;
        let path = format!("/v1/texts/{index}");
        assert_eq!(shop.gets(&path).await, salted("SELECT * FROM shop.orders"));
        assert_eq!(scene.reader("operator").gets(&path).await, salted("SELECT * FROM shop.orders"));
        scene.is_indexed().await;
        let read = all.hears(200, "/v1/search?kind=read").await;
        let what = &read["records"][0]["record"]["what"];
        assert_eq!(what["entries"], Value::from(vec![index]));
        assert!(what["person"].as_str().unwrap().starts_with("keyhole://audit/shop"), "{what}");
        assert_eq!(read["records"][0]["record"]["grant"], uid(1).to_string());

        let key = scene.log.folder().join(format!("keys/{}", uid(1)));
        let before = std::fs::read(&key).unwrap();
        let order = format!(r#"{{"grant":"{}"}}"#, uid(1));
        let erase = |reader: Reader, order: String| async move {
            let (status, body) = reader.sends("POST", "/v1/erase", &order).await.unwrap();
            (status, String::from_utf8(body).unwrap())
        };
        for (rest, order, status) in [
            ("operator", order.clone(), 403),
            ("audit/*", order.clone(), 403),
            ("erase/bank", order.clone(), 403),
            ("erase/*", "{}".to_owned(), 400),
            ("erase/*", format!(r#"{{"grant":"{}","all":true}}"#, uid(1)), 400),
            ("erase/*", format!(r#"{{"grant":"{}"}}"#, uid(77)), 404),
            ("erase/*", "x".repeat(5000), 413),
        ] {
            let answer = erase(scene.reader(rest), order).await;
            assert_eq!(answer.0, status, "{rest}: {}", answer.1);
            assert!(answer.1.contains(r#"{"error":"#), "{}", answer.1);
        }
        assert!(key.exists());
        assert_eq!(erase(scene.reader("erase/shop"), order).await.0, 200);
        // The key went with the checkpoint; a new statement gets a new one.
        assert!(!key.exists());
        scene.is_indexed().await;
        assert!(all.is_refused(410, &path).await.contains("erased"));
        reads(&scene.shop, "shop.orders", "SELECT 3");
        scene.shop.is_acknowledged(8).await;
        scene.is_indexed().await;
        assert_ne!(std::fs::read(&key).unwrap(), before);
        assert!(all.is_refused(410, &path).await.contains("erased"));
        let answer = all.hears(200, "/v1/search?table=shop.orders").await;
        let newest = answer["records"].as_array().unwrap().last().unwrap()["index"].as_u64().unwrap();
        assert_eq!(all.gets(&format!("/v1/texts/{newest}")).await, salted("SELECT 3"));
        assert_eq!(kinds(&all.hears(200, "/v1/search?kind=erase").await), ["erase"]);
    });
}

#[test]
fn an_index_that_is_gone_or_wrong_is_made_again_and_answers_say_so_meanwhile() {
    runtime().block_on(async {
        let mut scene = Scene::new().await;
        let all = scene.reader("audit/*");
        let right = all.finds("namespace=shop").await;
        for spoilt in [None, Some(b"garbage".repeat(1000)), Some(Vec::new())] {
            scene.log.stop().await;
            match &spoilt {
                None => std::fs::remove_file(scene.index()).unwrap(),
                Some(bytes) => std::fs::write(scene.index(), bytes).unwrap(),
            }
            scene.log.start_again().await;
            let answer = all.hears(200, "/v1/search?namespace=shop").await;
            assert!(answer["complete"] == false || kinds(&answer) == right, "{answer}");
            scene.is_indexed().await;
            assert_eq!(all.finds("namespace=shop").await, right);
        }
        // While it runs.
        std::fs::remove_file(scene.index()).unwrap();
        let answer = all.hears(200, "/v1/search?namespace=shop").await;
        assert_eq!((kinds(&answer).len(), &answer["complete"]), (0, &Value::Bool(false)));
        let again = async {
            while !scene.index().exists() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), again).await.unwrap();
        scene.is_indexed().await;
        assert_eq!(all.finds("namespace=shop").await, right);
    });
}

#[test]
fn what_cannot_be_read_is_named_in_each_answer_and_no_reason_to_wait_for_the_streams_of_a_grant() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let operator = scene.reader("operator");
        let before = operator.hears(200, "/v1/unended").await;
        assert_eq!(
            (&before["unread"], before["entries"].as_array().unwrap().len()),
            (&Value::from(Vec::<Value>::new()), 2)
        );
        for file in std::fs::read_dir(scene.log.folder().join("tile/entries/000.p")).unwrap() {
            std::fs::write(file.unwrap().path(), b"\xff").unwrap();
        }
        for path in ["/v1/unended", "/v1/open", "/v1/search", &format!("/v1/story/{}", uid(1))] {
            let (status, body) = operator.sends("GET", path, "").await.unwrap();
            let answer: Value = serde_json::from_slice(&body).unwrap();
            if path.contains("story") {
                // Whose it is cannot be said.
                assert_eq!(status, 500, "{answer}");
                continue;
            }
            assert_eq!((status, &answer["complete"]), (200, &false.into()), "{path}: {answer}");
            assert_eq!(answer["unread"][0]["from"], 0, "{path}: {answer}");
            assert_eq!(answer["unread"][0]["to"], answer["size"], "{path}: {answer}");
        }
        let grant = operator.hears(200, &format!("/v1/grants/{}", uid(1))).await;
        assert_eq!((&grant["streams"][0]["count"], &grant["complete"]), (&7.into(), &true.into()), "{grant}");
        assert_eq!(grant["unread"][0]["from"], 0);
    });
}
