"""The tests of tests/api that are not run against a cluster, since they are about one process, by reason: a file, a
test of it, or a test with some parameters. (What such a test starts with Server of server.py is one process anyway.)"""

import pytest

PROXY = "nginx in front of the nodes answers or changes this itself"
METRICS = "reads the metrics, or counts the requests, of one process"
RATES = "expects the exact count of a limit"
ORDER = "is recorded with an order of rooms, or of who types, that several nodes do not keep"
EMBEDDED = "is about the embedded PostgreSQL or its data directory"
WORKERS = "is about the workers of one process, and how it shares them"
CLOCK = "moves the clock faster than leases are renewed, so that what was just sent is sent again"
ASKS = "counts the questions to other servers, whose answers each node remembers by itself, or a limit of these"
CALLED = "needs the node that is called to be the one that sends"
COMMANDS = "is about the commands and the start of one process"

REASONS = {
    "test_proxy.py": PROXY,
    "test_http_errors.py": PROXY,
    "test_bad_input.py::test_bad_ids_in_paths_are_survived": PROXY,
    "test_discovery.py::test_metrics_are_for_direct_loopback_peers": METRICS,
    "test_discovery.py::test_metrics_are_well_formed": METRICS,
    "test_discovery.py::test_metrics_for_the_machines_that_are_named": METRICS,
    "test_send.py::test_sending_asks_the_database_for_nothing_but_the_commit": METRICS,
    "test_media.py::test_metrics": METRICS,
    "test_request_limits.py::test_bodies_of_servers": PROXY,
    "test_request_limits.py::test_pools": METRICS,
    "test_fed_auth.py::test_one_of_several_signatures_is_enough": PROXY,
    "test_fed_auth.py::test_all_headers_must_be_of_one_server": PROXY,
    "test_fed_auth.py::test_callers_whose_keys_are_slow_delay_no_others": WORKERS,
    "test_fed_guard.py::test_a_server_has_no_more_than_its_share_of_the_workers": WORKERS,
    "test_login.py::test_wrong_passwords_from_elsewhere_keep_none_out_where_they_are_known": RATES,
    "test_login.py::test_a_network_is_known_after_a_login": RATES,
    "test_login.py::test_names_without_an_account_are_limited_alike": RATES,
    "test_login.py::test_refused_requests_hash_no_password": RATES,
    "test_sync_corpus.py::test_ephemeral": ORDER,
    "test_sync_corpus.py::test_gaps": ORDER,
    "test_fed_hierarchy.py::test_a_space_of_many_servers_comes_page_by_page": ASKS,
    "test_fed_hierarchy.py::test_large_spaces_count_as_many_questions": ASKS,
    "test_fed_hostile.py::test_waiting_events_are_bounded": ASKS,
    "test_fed_keys.py::test_a_server_that_does_not_answer_is_left_alone": ASKS,
    "test_fed_keys.py::test_a_new_key_is_asked_for": ASKS,
    "test_fed_limited.py::test_a_notary_that_is_asked_too_much_is_left_alone": ASKS,
    "test_fed_media.py::test_fetched_once_for_all": ASKS,
    "test_fed_media.py::test_missing_media_is_not_requested_again": ASKS,
    "test_fed_media.py::test_a_lost_file_of_another_server_is_fetched_anew": ASKS,
    "test_fed_media.py::test_fetched_media_is_charged_by_its_size": ASKS,
    "test_fed_query.py::test_answers_are_remembered_for_a_while": ASKS,
    "test_fed_query.py::test_answers_are_forgotten_when_the_server_joined": ASKS,
    "test_fed_query.py::test_a_silent_server_does_not_stall_others": ASKS,
    "test_fed_query.py::test_one_server_may_not_ask_too_much": ASKS,
    "test_fed_query.py::test_one_user_may_not_have_too_much_asked": ASKS,
    "test_fed_sender.py::test_a_server_that_contacts_us_is_sent_to_at_once": CALLED,
    "test_push_gateways.py": CLOCK,
    "test_hardening.py": COMMANDS,
    "test_cli.py": COMMANDS,
    "test_config_errors.py": COMMANDS,
    "test_serve.py": COMMANDS,
    "test_pooling.py": EMBEDDED,
    "test_restore.py": EMBEDDED,
    "test_epochs.py": EMBEDDED,
}


def reason(name):
    """name: of a test, as in `test_sync.py::test_one[parameter]`."""
    path, _, test = name.partition("::")
    file = path.rpartition("/")[2]
    return REASONS.get(file) or REASONS.get(f"{file}::{test.partition('[')[0]}") or REASONS.get(f"{file}::{test}")


def skip(items):
    for item in items:
        if why := reason(item.nodeid):
            item.add_marker(pytest.mark.skip(reason=f"not of several nodes: {why}"))
