//! Invitations, accounts, sessions, roles.

use candor_annotate::Refusal;
use candor_annotate::store::{Amendment, Role};

use crate::office::{Office, on_both, refusal};

const HOUR_MS: i64 = 3_600_000;

on_both! {
    an_invitation_makes_one_account("") |office: Box<Office>| async move {
        let (secret, expires_at) = office.store.invite(Role::Adjudicator, 2, None).await.unwrap();
        assert_eq!(expires_at, crate::office::START_MS + 2 * HOUR_MS);
        assert_eq!(office.store.invitation(&secret).await.unwrap(), Some(Role::Adjudicator));
        assert_eq!(office.store.invitation("made up").await.unwrap(), None);
        let anna = office.store.join(secret.clone(), "Anna".into(), "h".into()).await.unwrap();
        assert_eq!((anna.name.as_str(), anna.role, anna.number), ("Anna", Role::Adjudicator, 1));
        let again = office.store.join(secret, "Bert".into(), "h".into()).await;
        assert_eq!(refusal(again), Refusal::NotFound("invitation"));
    };

    an_invitation_ends("") |office: Box<Office>| async move {
        let (secret, _) = office.store.invite(Role::Annotator, 2, None).await.unwrap();
        office.clock.pass(2 * HOUR_MS);
        let late = office.store.join(secret, "Anna".into(), "h".into()).await;
        assert_eq!(refusal(late), Refusal::NotFound("invitation"));
    };

    a_new_password_ends_the_old_one("") |office: Box<Office>| async move {
        let admin = office.person("admin", Role::Admin).await;
        let anna = office.person("anna", Role::Annotator).await;
        let session = office.store.start_session(anna.clone()).await.unwrap();
        let (secret, expires_at) = office.store.offer_renewal(admin.clone(), anna.clone()).await.unwrap();
        let (second, _) = office.store.offer_renewal(admin.clone(), anna.clone()).await.unwrap();
        assert_eq!(expires_at, crate::office::START_MS + 24 * HOUR_MS);
        assert_eq!(office.store.renewal(&secret).await.unwrap().unwrap().name, "anna");
        assert_eq!(office.store.invitation(&secret).await.unwrap(), None, "it makes no account");
        let joined = office.store.join(secret.clone(), "Bert".into(), "h".into()).await;
        assert_eq!(refusal(joined), Refusal::NotFound("invitation"));
        assert!(office.store.session(&session, 1).await.unwrap().is_some(), "not yet");
        assert!(office.store.members().await.unwrap().1.is_empty(), "no invitation waits");

        office.store.renew(secret.clone(), "new hash".into()).await.unwrap();
        let (person, hash) = office.store.account("anna").await.unwrap().unwrap();
        assert_eq!((person.person, hash.as_str()), (anna.clone(), "new hash"));
        assert!(office.store.session(&session, 1).await.unwrap().is_none());
        for used in [secret, second, "made up".into()] {
            assert_eq!(office.store.renewal(&used).await.unwrap(), None);
            let again = office.store.renew(used, "another".into()).await;
            assert_eq!(refusal(again), Refusal::NotFound("link"));
        }
        let (late, _) = office.store.offer_renewal(admin, anna).await.unwrap();
        office.clock.pass(24 * HOUR_MS);
        assert_eq!(refusal(office.store.renew(late, "late".into()).await), Refusal::NotFound("link"));
    };

    names_that_look_alike_are_one_name("") |office: Box<Office>| async move {
        office.person("Anna", Role::Annotator).await;
        let (secret, _) = office.store.invite(Role::Annotator, 2, None).await.unwrap();
        let taken = refusal(office.store.join(secret.clone(), "ANNA".into(), "h".into()).await);
        assert!(matches!(taken, Refusal::Invalid { field, .. } if field == "name"));
        office.store.join(secret, "Bert".into(), "h".into()).await.expect("the invitation is still good");
        assert_eq!(office.store.account("anna").await.unwrap().unwrap().0.name, "Anna");
        assert!(office.store.account("nobody").await.unwrap().is_none());
    };

    a_session_lasts_while_it_is_used("") |office: Box<Office>| async move {
        let anna = office.person("anna", Role::Annotator).await;
        let secret = office.store.start_session(anna).await.unwrap();
        for _ in 0..5 {
            office.clock.pass(HOUR_MS * 3 / 4);
            assert!(office.store.session(&secret, 1).await.unwrap().is_some());
        }
        office.clock.pass(HOUR_MS);
        assert!(office.store.session(&secret, 1).await.unwrap().is_none());
        assert!(office.store.session("made up", 1).await.unwrap().is_none());
    };

    a_session_ends_at_the_logout("") |office: Box<Office>| async move {
        let anna = office.person("anna", Role::Annotator).await;
        let secret = office.store.start_session(anna.clone()).await.unwrap();
        let other = office.store.start_session(anna).await.unwrap();
        office.store.end_session(&secret).await.unwrap();
        assert!(office.store.session(&secret, 1).await.unwrap().is_none());
        assert!(office.store.session(&other, 1).await.unwrap().is_some());
    };

    whoever_is_disabled_is_out_at_once("") |office: Box<Office>| async move {
        let admin = office.person("admin", Role::Admin).await;
        let anna = office.person("anna", Role::Annotator).await;
        let secret = office.store.start_session(anna.clone()).await.unwrap();
        let disabled = Amendment { disabled: Some(true), ..Amendment::default() };
        office.store.amend(admin.clone(), anna.clone(), disabled).await.unwrap();
        assert!(office.store.session(&secret, 1).await.unwrap().is_none());
        assert!(office.store.account("anna").await.unwrap().is_none());
        let enabled = Amendment { disabled: Some(false), ..Amendment::default() };
        office.store.amend(admin, anna, enabled).await.unwrap();
        assert!(office.store.account("anna").await.unwrap().is_some());
    };

    the_last_administrator_stays("") |office: Box<Office>| async move {
        let admin = office.person("admin", Role::Admin).await;
        for change in [
            Amendment { role: Some(Role::Annotator), ..Amendment::default() },
            Amendment { disabled: Some(true), ..Amendment::default() },
        ] {
            let refused = office.store.amend(admin.clone(), admin.clone(), change).await;
            assert_eq!(refusal(refused), Refusal::LastAdmin);
        }
        let (people, _) = office.store.members().await.unwrap();
        assert_eq!((people[0].role, people[0].disabled), (Role::Admin, false));
        let other = office.person("other", Role::Admin).await;
        let step_down = Amendment { role: Some(Role::Annotator), ..Amendment::default() };
        office.store.amend(other, admin.clone(), step_down).await.unwrap();
        assert_eq!(office.store.account("admin").await.unwrap().unwrap().0.role, Role::Annotator);
    };
}
