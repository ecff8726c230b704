//! That the clients see what an injected pod would show them and nothing else, and that nothing stays.

use super::*;

#[test]
fn the_journal_holds_no_token_even_of_a_client_that_misplaces_it() {
    let Some(setting) = setting() else { return };
    let token = setting.good_token();
    let pod = injected_pod(Identity::Impersonating(None), &token);
    let answer = came_back(&setting.google.run_google_auth(&pod));
    setting.post(FORM, &format!("scope={token}"), &token);
    setting.post(FORM, &format!("{token}=1"), &token);

    let journal = setting.google.journal_text();
    for part in token.split('.') {
        assert!(!journal.contains(part), "a part of the subject token");
    }
    assert!(!journal.contains("ya29."), "an access token");
    let issued = answer["token"].as_str().expect("a token");
    assert!(!journal.contains(issued), "the issued token");
    assert_eq!(setting.entries::<3>("token").len(), 3);
}

#[test]
fn a_client_reaches_nothing_but_the_fake() {
    const SCRIPT: &str = r#"
import socket
for host in ["169.254.169.254", "192.0.2.1"]:
    try:
        socket.create_connection((host, 443), timeout=5)
        raise SystemExit(host + " is within reach")
    except OSError as error:
        print(error.strerror)
try:
    socket.getaddrinfo("example.com", 443)
    raise SystemExit("names are resolved")
except socket.gaierror:
    print("no such name")
"#;
    let Some(setting) = setting() else { return };
    let ran = setting.google.run_python(&InjectedPod::default(), &["-c", SCRIPT]);
    assert_eq!(
        ran.output(),
        "Network is unreachable\nNetwork is unreachable\nno such name"
    );
}

#[test]
fn a_client_has_the_pods_environment_and_files_and_no_others() {
    const SCRIPT: &str = r#"
import json, os
directory = "/var/run/secrets/vertex-injector"
try:
    open(directory + "/new", "w")
    raise SystemExit("the volume can be written")
except OSError as error:
    print(json.dumps([
        sorted(os.environ),
        sorted(name for name in os.listdir(directory) if not name.startswith("..")),
        oct(os.stat(directory + "/token").st_mode),
        os.getuid(),
        error.strerror,
    ]))
"#;
    let Some(setting) = setting() else { return };
    let mut pod = injected_pod(Identity::Direct, &setting.good_token());
    pod.user = Some(1000);
    let ran = setting.google.run_python(&pod, &["-c", SCRIPT]);
    let seen: Value = serde_json::from_str(ran.output()).expect("JSON");

    let mut names: Vec<&str> = pod.env.keys().map(String::as_str).collect();
    // The image's, Python's own (LC_CTYPE), and the trust in the fake's CA.
    names.extend([
        "HOME",
        "PATH",
        "LC_CTYPE",
        "REQUESTS_CA_BUNDLE",
        "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",
        "NODE_EXTRA_CA_CERTS",
        "SSL_CERT_FILE",
    ]);
    names.sort_unstable();
    assert_eq!(
        seen,
        json!([
            names,
            ["application_default_credentials.json", "token"],
            "0o100444",
            1000,
            "Read-only file system",
        ])
    );
}

#[test]
fn the_fake_is_gone_when_its_test_is() {
    let Some(setting) = setting() else { return };
    let process = format!("/proc/{}", setting.google.init());
    assert!(std::fs::exists(&process).expect("proc"));
    drop(setting);
    assert!(!std::fs::exists(&process).expect("proc"));
}

#[test]
fn the_fake_is_gone_even_when_its_test_is_killed() {
    if setting().is_none() {
        return;
    }
    let mut test = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "sandbox::held_until_killed"])
        .args(["--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("start this program");
    let output = BufReader::new(test.stdout.take().expect("a pipe"));
    let process = output
        .lines()
        .map(|line| line.expect("a line"))
        .find_map(|line| line.split_once("SANDBOX ").map(|(_, path)| path.to_owned()))
        .expect("the sandbox's first process");
    assert!(std::fs::exists(&process).expect("proc"));
    test.kill().expect("kill the test");
    test.wait().expect("the killed test");

    let end = Instant::now() + Duration::from_secs(5);
    while std::fs::exists(&process).expect("proc") {
        assert!(Instant::now() < end, "{process} is still there");
        harness::process::pause(Duration::from_millis(20));
    }
    let left = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("google-{}-0", test.id()));
    std::fs::remove_dir_all(left).expect("remove what the killed test left");
}

#[test]
#[ignore = "the victim of the_fake_is_gone_even_when_its_test_is_killed"]
fn held_until_killed() {
    let Some(setting) = setting() else { return };
    println!("SANDBOX /proc/{}", setting.google.init());
    harness::process::pause(Duration::from_secs(30));
}
