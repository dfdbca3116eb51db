//! Failed logins, as the database counts them.

use std::net::IpAddr;

use candor_annotate::Refusal;

use crate::office::{Office, on_both, refusal};

/// A quarter of an hour, in milliseconds.
const WINDOW_MS: i64 = 900_000;

on_both! {
    five_failures_of_a_name_have_to_wait_and_others_do_not("") |office: Box<Office>| async move {
        for _ in 0..5 {
            office.store.attempt_login("Anna", None).await.unwrap();
        }
        office.clock.pass(1000);
        let refused = refusal(office.store.attempt_login("anna", None).await);
        assert_eq!(refused, Refusal::TooManyAttempts { retry_after_ms: 899_000 });
        office.store.attempt_login("bert", None).await.unwrap();
        office.clock.pass(WINDOW_MS - 1000);
        office.store.attempt_login("anna", None).await.unwrap();
    };

    a_right_password_is_no_failure("") |office: Box<Office>| async move {
        let address = Some(IpAddr::from([127, 0, 0, 1]));
        for _ in 0..35 {
            office.store.attempt_login("anna", address).await.unwrap();
            office.store.forgive_login("anna", address).await.unwrap();
        }
    };

    one_address_cannot_try_many_names("") |office: Box<Office>| async move {
        let [one, other] = [1, 2].map(|last| Some(IpAddr::from([10, 0, 0, last])));
        for i in 0..30 {
            office.store.attempt_login(&format!("name{i}"), one).await.unwrap();
        }
        let refused = refusal(office.store.attempt_login("another", one).await);
        assert_eq!(refused, Refusal::TooManyAttempts { retry_after_ms: WINDOW_MS });
        office.store.attempt_login("another", other).await.unwrap();
    };

    failures_outlive_the_server_that_counted_them("") |office: Box<Office>| async move {
        for _ in 0..5 {
            office.store.attempt_login("anna", None).await.unwrap();
        }
        let office = office.restarted().await;
        let refused = refusal(office.store.attempt_login("anna", None).await);
        assert_eq!(refused, Refusal::TooManyAttempts { retry_after_ms: WINDOW_MS });
    };
}
