"""What can go wrong, what happens then, and the tests that prove it; `python tests/faults/table.py` prints it.

`test_table.py` checks that no row is without a test and that every test named here is there.
"""

from __future__ import annotations

from dataclasses import dataclass

LOST = "tests/faults/test_lost_creates.py::"
SEARCH = "tests/faults/test_search.py::"
NEAR = "tests/faults/test_near_misses.py::"
BESIDE = "tests/faults/test_neighbours.py::"
WORKERS = "tests/faults/test_executors.py::"
PACE = "tests/faults/test_pace.py::"
REPLIES = "tests/faults/test_replies.py::"
IMAGES = "tests/faults/test_images.py::"
PICTURES = "tests/api/test_image_files.py::"
ELSEWHERE = "tests/faults/test_elsewhere.py::"
TEXT = "tests/faults/test_hostile_text.py::"
ANY = "tests/faults/test_any_reply.py::"
KILLED = "tests/faults/test_killed.py::"
RESUMING = "tests/faults/test_resuming.py::"
HOME = "tests/faults/test_home.py::"
CLOCKS = "tests/faults/test_clocks.py::"
CANARY = "tests/faults/test_canary.py::"
MONEY = "tests/faults/test_money.py::"
MEMORY = "tests/faults/test_memory.py::"
TYPED = "tests/faults/test_typed.py::"
EVIDENCE = "tests/faults/test_evidence.py::"
STRAYS = "tests/faults/test_strays.py::"
DEADLINES = "tests/faults/test_deadlines.py::"
MACHINE = "tests/faults/test_ledger_machine.py::TestLedger::runTest"
PACING = "tests/api/test_pace.py::"
DATABASE = "tests/log/test_database.py::"


@dataclass(frozen=True, slots=True)
class Row:
    """One fault: what it is, what happens then, and the ids of the tests, without parameters."""

    fault: str
    outcome: str
    tests: tuple[str, ...]


ROWS: dict[int, Row] = {
    1: Row(
        "the address cannot be found, the connection is refused or not taken",
        "surely not sent: tried again for a moment, then an error",
        (
            f"{ELSEWHERE}test_a_provider_that_cannot_be_reached_is_said_after_a_few_tries",
            f"{ELSEWHERE}test_a_provider_that_comes_up_meanwhile_gets_the_create_once",
            f"{ELSEWHERE}test_a_name_that_cannot_be_found_is_said",
            f"{ELSEWHERE}test_a_host_that_does_not_take_connections_is_said",
        ),
    ),
    2: Row(
        "a create's connection ends before it was processed",
        "missing from the settled list, so sent again: 1 bill",
        (
            f"{LOST}test_a_create_dropped_before_it_was_processed_is_sent_again_once",
            f"{LOST}test_every_repeat_waits_for_a_list_of_its_own_and_there_are_only_so_many",
            f"{MONEY}test_every_image_wanted_is_billed_once_and_had",
            MACHINE,
        ),
    ),
    3: Row(
        "a create's connection is reset after it was processed",
        "found in the list and adopted: 1 bill",
        (
            f"{LOST}test_a_create_whose_reply_cannot_be_used_is_found_and_adopted",
            f"{MONEY}test_every_image_wanted_is_billed_once_and_had",
            MACHINE,
        ),
    ),
    4: Row(
        "a create that is held open times out or is dropped",
        "found in the list while it runs: 1 bill",
        (f"{LOST}test_a_held_create_that_is_lost_is_found_while_it_runs",),
    ),
    5: Row(
        "500, 502 or 504 to a create, made or not",
        "the list decides: 1 bill",
        (
            f"{LOST}test_a_create_whose_reply_cannot_be_used_is_found_and_adopted",
            f"{LOST}test_a_server_error_before_anything_was_made_is_one_bill_too",
        ),
    ),
    6: Row(
        "a success with half a body, a web page or nothing in it",
        "found in the list and adopted: 1 bill",
        (f"{LOST}test_a_create_whose_reply_cannot_be_used_is_found_and_adopted",),
    ),
    7: Row(
        "the list lags, is cut off, fails for a while, is not offered, or shows what may or may not be it",
        "time to settle; else the row stays unknown, and is never sent blindly",
        (
            f"{NEAR}test_a_near_miss_in_the_list_is_no_proof_of_absence",
            f"{NEAR}test_a_name_that_the_provider_gave_the_model_before_is_understood",
            f"{NEAR}test_a_crash_of_yesterday_is_not_billed_again",
            f"{SEARCH}test_a_mistake_in_it_leaves_nobody_waiting",
            f"{SEARCH}test_a_model_whose_schema_is_refused_keeps_no_other_from_being_found",
            f"{SEARCH}test_a_cancel_ends_a_list_that_hangs",
            f"{LOST}test_a_list_that_lags_is_given_time",
            f"{LOST}test_without_a_list_a_lost_create_stays_unknown_and_is_never_repeated",
            f"{LOST}test_a_part_of_a_list_is_never_taken_for_the_whole",
            f"{LOST}test_what_a_part_of_a_list_shows_is_adopted",
            f"{LOST}test_a_list_that_fails_for_a_while_is_asked_again",
        ),
    ),
    8: Row(
        "50 requests with the same input, one create in ten dropped",
        "each listed prediction is claimed once: 50 bills",
        (
            f"{LOST}test_fifty_identical_requests_claim_each_prediction_once",
            f"{NEAR}test_what_a_create_under_way_may_be_given_is_left_to_it",
            f"{BESIDE}test_reconciling_does_not_take_what_a_create_of_another_notebook_waits_for",
            f"{BESIDE}test_a_cancel_leaves_an_equal_request_of_another_notebook_alone",
            f"{BESIDE}test_a_cancel_leaves_an_equal_request_of_another_cell_alone",
            f"{SEARCH}test_a_long_sweep_of_equal_requests_does_not_put_off_a_missing_one",
            f"{LOST}test_a_lost_create_belongs_to_whoever_looks_for_it",
            f"{LOST}test_reconcile_is_safe_twice_and_beside_a_sweep",
        ),
    ),
    9: Row(
        "429 with the wait in a header, as a date, in the body or in its text",
        "all workers wait, hardly a request is wasted",
        (f"{PACE}test_all_workers_wait_for_a_429_in_any_form",),
    ),
    10: Row(
        "429 with a wait that makes no sense, or of a day",
        "a second or so instead; for a day the sweep stops with a message",
        (
            f"{PACE}test_a_wait_that_nobody_can_mean_is_replaced",
            f"{PACE}test_a_wait_of_a_day_stops_the_sweep_with_a_message",
        ),
    ),
    11: Row(
        "a storm of 429 over 3,000 creates",
        "little more time than the limit itself costs, under 1 % refused",
        (
            f"{PACE}test_a_storm_of_429_ends_near_the_limits_own_floor",
            f"{PACING}test_three_thousand_creates_end_near_the_limits_own_floor",
        ),
    ),
    12: Row(
        "the rate falls to 6 a minute in mid-sweep",
        "followed, nothing fails",
        (
            f"{PACE}test_a_rate_that_falls_in_mid_sweep_is_followed",
            f"{PACE}test_many_workers_wait_for_few_turns_without_failing",
            f"{PACING}test_a_rate_that_falls_to_six_a_minute_in_mid_sweep_is_followed",
        ),
    ),
    13: Row(
        "5xx to everything for minutes",
        "few requests meanwhile, and the sweep goes on",
        (
            f"{PACE}test_an_outage_is_outwaited_without_a_storm",
            f"{PACE}test_creates_that_fail_for_a_while_are_each_looked_for",
            "tests/api/test_http.py::test_a_storm_of_failures_is_not_amplified",
        ),
    ),
    14: Row(
        "401, no credit, or an input that is refused",
        "no repeat; the first two stop the sweep, the third shows field and reason",
        (
            f"{REPLIES}test_a_refusal_of_everything_stops_the_sweep",
            f"{REPLIES}test_what_was_accepted_before_a_refusal_is_collected",
            f"{REPLIES}test_a_refused_input_names_field_and_reason",
        ),
    ),
    15: Row(
        "a look meets 404, 5xx, a reset or a web page",
        "repeated; the row is never lost",
        (f"{REPLIES}test_a_look_that_fails_is_repeated", f"{PACE}test_an_outage_is_outwaited_without_a_storm"),
    ),
    16: Row(
        "`aborted`, a status nobody knows, missing fields",
        "an end; outwaited; tolerated, and the raw reply is kept",
        (
            f"{REPLIES}test_aborted_is_an_end_and_costs_nothing",
            f"{REPLIES}test_a_status_nobody_knows_is_waited_out_and_logged_as_seen",
            f"{REPLIES}test_missing_and_odd_fields_are_tolerated",
        ),
    ),
    17: Row(
        "a success that has only begun",
        "polled to its end",
        (f"{REPLIES}test_a_prediction_that_just_started_is_polled",),
    ),
    18: Row(
        "an output that is missing, empty, a string, a list, nested or embedded",
        "shown, or said to be missing",
        (
            f"{REPLIES}test_any_output_is_shown_or_said_to_be_missing",
            f"{IMAGES}test_an_output_that_the_provider_has_deleted_is_expired",
        ),
    ),
    19: Row(
        "a prediction that never ends",
        "given up on, canceled at the provider, logged",
        (
            f"{REPLIES}test_what_never_ends_is_given_up_on_canceled_and_logged",
            f"{RESUMING}test_a_cancel_that_the_provider_does_not_know_leaves_the_row_open",
        ),
    ),
    20: Row(
        "a reply that drips byte by byte",
        "ended by the clock",
        (
            f"{REPLIES}test_a_body_that_drips_ends_by_the_clock",
            f"{REPLIES}test_a_reply_that_is_only_headers_without_end_ends_by_the_clock",
        ),
    ),
    21: Row(
        "an image cut short, in any framing",
        "fetched again; nothing is published that does not decode to its end",
        (
            f"{IMAGES}test_an_image_cut_short_is_fetched_again",
            f"{IMAGES}test_an_image_that_stays_cut_short_leaves_nothing_behind",
            f"{PICTURES}test_no_truncation_passes",
            f"{PICTURES}test_no_truncation_of_what_is_too_large_to_decode_passes",
        ),
    ),
    22: Row(
        "an image that the provider has deleted",
        "expired; prompt and parameters are kept",
        (
            f"{IMAGES}test_an_image_that_is_gone_is_expired_and_its_request_kept",
            f"{IMAGES}test_an_output_that_the_provider_has_deleted_is_expired",
            f"{IMAGES}test_what_was_had_before_the_rest_was_gone_is_kept",
        ),
    ),
    23: Row(
        "a web page or SVG in the place of an image",
        "refused by its bytes",
        (f"{IMAGES}test_what_is_no_image_is_refused_whatever_it_says_it_is",),
    ),
    24: Row(
        "a bomb, a body without end, an image of 200 megapixels",
        "capped in bytes, pixels and seconds; memory rises by 80 MB at most",
        (
            f"{IMAGES}test_an_image_without_measure_is_capped",
            f"{MEMORY}test_no_reply_makes_memory_grow",
            f"{MEMORY}test_one_large_reply_takes_little_more_than_its_size",
        ),
    ),
    25: Row(
        "redirects: in circles, of a create, to other hosts, to this network, to files",
        "refused; neither token nor prompt leaves",
        (
            f"{ELSEWHERE}test_a_redirected_create_goes_nowhere",
            f"{ELSEWHERE}test_the_api_is_never_redirected",
            f"{ELSEWHERE}test_a_redirected_image_goes_nowhere_else",
            f"{ELSEWHERE}test_an_output_that_lies_where_none_may_is_not_asked_for",
            f"{ELSEWHERE}test_the_links_of_a_reply_are_never_followed",
        ),
    ),
    26: Row(
        "a netrc, proxies, a token that is no header",
        "the right header and no other; proxies and CA files work; the error does not repeat the token",
        (
            f"{ELSEWHERE}test_a_netrc_replaces_nothing_and_adds_nothing",
            f"{ELSEWHERE}test_proxies_of_the_environment_still_work",
            f"{ELSEWHERE}test_nothing_for_this_machine_goes_to_a_proxy",
            f"{ELSEWHERE}test_a_ca_file_of_the_environment_is_trusted",
            f"{ELSEWHERE}test_a_token_that_is_no_header_is_refused",
            f"{ELSEWHERE}test_a_line_break_after_a_token_is_trimmed",
        ),
    ),
    27: Row(
        "a certificate that is expired or that nobody trusts",
        "refused at once",
        (f"{ELSEWHERE}test_a_certificate_nobody_trusts_is_refused_at_once",),
    ),
    28: Row(
        "markup and scripts in prompts, errors, models and addresses",
        "inert in cells, widgets, reports and converted notebooks",
        (
            f"{TEXT}test_markup_from_a_prompt_a_provider_or_a_name_is_inert",
            "tests/views/test_hostile.py::test_no_element_and_no_attribute_comes_from_data",
            "tests/notebook/test_panel.py::test_reason_of_a_failure_is_on_its_card",
        ),
    ),
    29: Row(
        "paths, NUL, 300 characters, reserved words and emoji in any name",
        "files are named after hashes and ids",
        (f"{TEXT}test_no_name_reaches_the_file_system",),
    ),
    30: Row(
        "a prompt that a spreadsheet would run",
        "neutralised in the export, and read back as it was",
        (
            f"{TEXT}test_no_cell_of_an_export_is_a_formula",
            "tests/frames/test_export.py::test_no_cell_of_a_csv_is_a_formula",
        ),
    ),
    31: Row(
        "SIGKILL in every state, and at random",
        "no accepted prediction is lost; 1 bill each",
        (
            f"{KILLED}test_killed_in_any_state_it_owes_nothing_extra_and_misses_nothing",
            f"{KILLED}test_killed_while_the_last_row_is_being_written",
            f"{KILLED}test_reconcile_after_a_kill_settles_what_was_accepted_and_sends_nothing",
            f"{KILLED}test_killed_at_random_moments",
            MACHINE,
        ),
    ),
    32: Row(
        "an interrupt or a restart in mid-sweep",
        "resumed, nothing is sent twice",
        (
            f"{RESUMING}test_an_interrupted_sweep_keeps_what_it_has_and_goes_on",
            f"{RESUMING}test_a_restart_in_mid_sweep_picks_up_what_runs",
            f"{RESUMING}test_two_who_resume_at_once_share_the_open_rows",
            f"{BESIDE}test_two_who_resume_an_experiment_at_once_send_each_request_once",
            f"{BESIDE}test_a_row_settled_elsewhere_meanwhile_is_not_sent_again",
            f"{WORKERS}test_a_worker_that_dies_costs_nothing",
            f"{PACE}test_an_interrupt_ends_every_wait",
            "tests/notebook/test_kernel.py::test_interrupt_ends_the_cell_as_interrupted",
        ),
    ),
    33: Row(
        "four processes on one home",
        "no error, and the log is sound",
        (f"{HOME}test_four_processes_share_a_home",),
    ),
    34: Row(
        "a disk that is full, a log that is read-only or damaged",
        "nothing is sent without a durable row; what was accepted is not lost",
        (
            f"{HOME}test_a_full_disk_keeps_requests_from_being_sent",
            f"{HOME}test_what_was_accepted_while_the_disk_became_full_is_not_lost",
            f"{HOME}test_images_that_cannot_be_kept_now_are_kept_later",
            f"{HOME}test_a_damaged_log_is_said_before_anything_is_sent",
            f"{HOME}test_a_log_that_is_damaged_in_mid_sweep_stops_it",
            f"{DATABASE}test_a_read_only_log_is_read_and_says_why_it_is_not_written",
        ),
    ),
    35: Row(
        "an SQLite with the WAL-reset bug, a network's disk",
        "a rollback journal, every commit synced",
        (
            f"{HOME}test_the_journal_is_the_same_whatever_the_sqlite",
            f"{DATABASE}test_a_commit_is_on_the_disk",
            f"{DATABASE}test_a_log_in_wal_mode_is_brought_back",
        ),
    ),
    36: Row(
        "the clock jumps an hour, or the provider's differs",
        "waits go by another clock, and lost creates are found all the same",
        (
            f"{CLOCKS}test_a_provider_whose_clock_differs_is_understood",
            f"{CLOCKS}test_a_clock_that_jumps_an_hour_does_not_hide_a_lost_create",
            f"{CLOCKS}test_a_clock_that_jumps_between_two_processes_does_not_hide_a_leftover",
        ),
    ),
    37: Row(
        "a web page calls the simulator",
        "403",
        (
            "tests/simulator/test_safety.py::test_a_foreign_page_gets_nothing",
            "tests/simulator/test_safety.py::test_a_foreign_page_gets_no_file",
        ),
    ),
    38: Row(
        "an error with every variable printed, in a notebook that is saved",
        "no byte of the token in notebook, log, files or foreign headers",
        (
            f"{CANARY}test_a_saved_notebook_holds_no_token",
            f"{CANARY}test_no_verbose_traceback_shows_the_token",
            f"{CANARY}test_a_mistake_of_ours_shows_no_token_either",
            f"{CANARY}test_no_byte_of_the_token_is_in_any_file_output_or_foreign_header",
        ),
    ),
    39: Row(
        "the list is empty, cut without saying so, oldest first, or later than the settling time",
        "a create is missing only where the same listing shows accepted ones around it; else the row stays unknown",
        (
            f"{EVIDENCE}test_what_a_list_does_not_show_is_not_sent_again_for_that",
            f"{EVIDENCE}test_a_list_that_is_oldest_first_and_whole_is_as_good_as_any",
            f"{EVIDENCE}test_a_list_later_than_it_may_be_is_found_out",
            f"{EVIDENCE}test_the_first_create_of_all_waits_for_a_witness",
            f"{EVIDENCE}test_a_create_alone_in_the_world_stays_unknown_until_there_is_a_witness",
        ),
    ),
    40: Row(
        "`created_at` and the Date header disagree by seconds or an hour",
        "accepted predictions say by how much; what may be ours is looked for an hour back",
        (
            f"{EVIDENCE}test_two_clocks_of_a_provider_are_told_apart",
            f"{EVIDENCE}test_the_first_create_of_all_waits_for_a_witness",
            f"{EVIDENCE}test_the_list_is_asked_for_an_hour_at_least",
            f"{EVIDENCE}test_an_equal_one_of_the_last_hour_keeps_a_lost_one_from_being_missing",
        ),
    ),
    41: Row(
        "a prediction of ours in the list that no row has",
        "named with its id by the sweep's end and by reconcile(), which makes it a row on demand",
        (
            f"{STRAYS}test_a_prediction_more_than_asked_for_is_named_and_can_be_made_a_row",
            f"{STRAYS}test_the_command_line_names_it_and_adopts_it",
            f"{STRAYS}test_the_panel_names_it_on_its_card",
            f"{STRAYS}test_what_an_open_row_may_be_given_is_not_named",
            f"{STRAYS}test_nothing_is_listed_for_nothing",
        ),
    ),
    42: Row(
        "a look or a cancel answers with another prediction's id",
        "not believed, asked again",
        (
            f"{REPLIES}test_a_look_that_shows_another_prediction_is_repeated",
            "tests/api/test_client.py::test_a_reply_about_another_prediction_is_not_believed",
        ),
    ),
    43: Row(
        "several outputs, one of them gone, JSON, damaged, refused, too large, late or endless",
        "the others are kept, the row says which is missing, and reconciling fetches what may come later",
        (
            f"{IMAGES}test_each_output_counts_for_itself",
            f"{IMAGES}test_an_output_of_a_kind_that_is_never_fetched_costs_no_other",
            f"{IMAGES}test_what_may_come_later_keeps_the_row_open_and_is_fetched_then",
            f"{IMAGES}test_a_slow_output_takes_no_time_of_those_behind_it",
            f"{IMAGES}test_what_was_had_before_the_rest_was_gone_is_kept",
        ),
    ),
    44: Row(
        "text, with colons in it, among the outputs or in their place",
        "text: it costs no image, and without one the row says what it was",
        (
            f"{REPLIES}test_any_output_is_shown_or_said_to_be_missing",
            "tests/api/test_replies.py::test_what_is_no_address_is_text",
        ),
    ),
    45: Row(
        "a signed address that has expired",
        "a fresh look and a new address, a few times; only then expired",
        (
            f"{IMAGES}test_an_expired_address_is_renewed",
            f"{IMAGES}test_an_expired_address_is_no_end_while_the_provider_does_not_answer",
            f"{IMAGES}test_an_image_that_is_gone_is_expired_and_its_request_kept",
        ),
    ),
    46: Row(
        "silence after a POST, closed connections, drips, no cancel, with a short timeout",
        "over by 5 s after the timeout; one POST, and nothing billable after it",
        (
            f"{DEADLINES}test_a_run_is_over_soon_after_its_timeout",
            f"{DEADLINES}test_nothing_is_sent_again_when_the_time_is_over",
            f"{DEADLINES}test_silence_is_not_waited_for_as_long_as_a_run_may_take",
            f"{DEADLINES}test_a_connection_that_is_not_taken_does_not_outlast_the_timeout",
        ),
    ),
    47: Row(
        "429 to a part of all creates, whatever the pace",
        "less than half as long again; limits are kept, and the first pace comes back within seconds",
        (
            f"{PACE}test_a_busy_model_costs_little_time",
            f"{PACING}test_refusals_at_any_pace_cost_little_time",
            f"{PACING}test_a_pace_that_such_refusals_slowed_comes_back_within_seconds",
            f"{PACING}test_a_limit_behind_such_refusals_is_kept_all_the_same",
        ),
    ),
    48: Row(
        "429 to one look or to all, with a wait of a day",
        "looked at again within its time; else the sweep stops, names it, and makes nothing more",
        (
            f"{PACE}test_one_look_put_off_for_a_day_costs_nothing",
            f"{PACE}test_nothing_more_is_created_while_nothing_can_be_looked_at",
            f"{PACING}test_while_nobody_may_look_nothing_is_created",
            "tests/api/test_polling.py::test_a_wait_whose_looks_are_all_refused_says_so",
        ),
    ),
    49: Row(
        "403 of a firewall, 409 at capacity",
        "waited for after others passed; the API's own word about the token still stops the sweep",
        (
            f"{PACE}test_a_firewall_in_mid_sweep_is_waited_for",
            "tests/api/test_http.py::test_a_firewall_after_others_passed_is_waited_for",
            "tests/api/test_http.py::test_a_firewall_from_the_beginning_is_named",
            "tests/api/test_http.py::test_a_token_that_the_api_itself_refuses_is_refused",
            "tests/api/test_http.py::test_a_provider_without_room_is_waited_for",
        ),
    ),
    50: Row(
        "a picture of 38 bytes that needs a gigabyte, of 1 MB that needs 20 s, of a million crumbs",
        "its structure is read first: refused, or judged by that alone, within 80 MB and the deadline",
        (
            f"{MEMORY}test_no_reply_makes_memory_grow",
            f"{PICTURES}test_no_picture_takes_more_than_80_mb_or_seconds",
            f"{PICTURES}test_the_largest_allowed_image_is_kept",
            f"{PICTURES}test_a_jpeg_of_hundreds_of_scans_is_refused_by_its_structure",
            f"{PICTURES}test_a_jpeg_is_decoded_where_that_takes_a_second_at_most",
            f"{PICTURES}test_a_png_that_swells_beyond_its_size_is_read_no_further",
            f"{PICTURES}test_an_avif_is_not_decoded",
            f"{PICTURES}test_crumbs_without_end_are_refused_and_end_by_the_deadline",
            f"{PICTURES}test_one_image_is_decoded_at_a_time",
        ),
    ),
    51: Row(
        "half a surrogate pair, NUL, controls, direction marks or 100,000 characters in prompt, error, label, note",
        "every exit shows it: cells, pages, terminal, panel and files",
        (f"{TEXT}test_every_exit_shows_what_the_log_accepts",),
    ),
    52: Row(
        "a line that ends where nobody sees it, a question mark behind a continued line",
        "taken whole, or refused; nothing of it runs",
        (
            f"{TYPED}test_a_line_ends_where_one_sees_it_end",
            f"{TYPED}test_the_options_of_a_cell_end_where_one_sees_it",
            f"{TYPED}test_a_continued_line_is_sent_whole",
            f"{TYPED}test_a_prompt_does_not_reach_into_the_next_line",
        ),
    ),
    53: Row(
        "bytes behind a whole picture, a container's brand, a wrong name or type, white space around an address, EXIF",
        "what decodes whole is whole, and as one sees it",
        (
            f"{IMAGES}test_what_decodes_whole_is_whole_and_as_one_sees_it",
            f"{PICTURES}test_every_variety_of_a_whole_image_is_whole",
            f"{PICTURES}test_the_pixels_of_any_png_are_counted",
            f"{PICTURES}test_what_follows_a_whole_image_does_not_count",
            f"{PICTURES}test_an_avif_may_have_the_brand_of_its_container",
            f"{PICTURES}test_a_turned_picture_is_measured_as_one_sees_it",
            "tests/frames/test_runs.py::test_a_turned_picture_is_measured_as_one_sees_it",
        ),
    ),
    54: Row(
        "an EPS, a pipe, a folder, a device or a private file named in a table from elsewhere",
        "one list of formats, regular files, pictures only; an export says from where",
        (
            f"{TEXT}test_a_table_from_elsewhere_reaches_no_private_file",
            "tests/frames/test_gallery.py::test_a_table_from_elsewhere_opens_pictures_and_nothing_else",
            "tests/frames/test_gallery.py::test_what_a_provider_may_send_is_what_a_table_may_show",
            "tests/frames/test_export.py::test_a_folder_holds_pictures_alone",
            "tests/frames/test_export.py::test_a_folder_says_where_strange_pictures_came_from",
        ),
    ),
    55: Row(
        "a reply with numbers, types or nesting of any size, in any field",
        "the row says what came of it, or an error in our words does",
        (
            f"{ANY}test_whatever_a_create_and_its_looks_answer_the_row_ends",
            f"{ANY}test_whatever_a_list_holds_a_lost_create_ends",
            f"{ANY}test_whatever_a_list_holds_it_is_read_or_refused",
            f"{ANY}test_whatever_a_models_page_says_it_is_asked_or_refused",
            f"{ANY}test_whatever_a_schema_says_plans_are_made_or_refused",
            f"{ANY}test_whatever_a_reply_says_is_kept_and_shown",
            f"{ANY}test_whatever_a_refusal_says_is_an_error_in_our_words",
            f"{ANY}test_a_reply_nested_beyond_measure_is_none",
        ),
    ),
    56: Row(
        "a token given as provider, model, home, name, label or word of a magic",
        "what looks like one is masked in every error",
        (
            f"{TYPED}test_a_token_in_the_wrong_place_is_not_repeated",
            f"{TYPED}test_a_token_typed_in_a_wrong_place_is_not_repeated",
            f"{TYPED}test_a_token_on_the_command_line_is_not_repeated",
        ),
    ),
    57: Row(
        "a home one may read and not write; one wrong value in the log",
        "it can be looked at, and says why it cannot be written; the other rows are there",
        (
            f"{HOME}test_a_read_only_home_can_be_looked_at",
            f"{HOME}test_one_value_that_is_wrong_hides_no_row",
            f"{DATABASE}test_a_read_only_log_is_read_and_says_why_it_is_not_written",
        ),
    ),
}


def main() -> None:
    print("| # | fault | what happens | held by |\n|---|---|---|---|")
    for number, row in ROWS.items():
        tests = "<br>".join(f"`{each.removeprefix('tests/')}`" for each in row.tests)
        print(f"| {number} | {row.fault} | {row.outcome} | {tests} |")


if __name__ == "__main__":
    main()
