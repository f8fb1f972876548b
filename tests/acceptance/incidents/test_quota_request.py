"""A quota is used up while another provider can take over: the request for more is measured, asked about, and sent."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.incidents.conftest import Watch
from tests.support.project import provider_at, wait_until
from tests.support.rehearsal import RehearsalProcess, a_provider
from tests.support.watched import PROBED_SOON, Watched, a_watched_project

_QUESTION = "SELECT question FROM approvals WHERE decision IS NULL"


def question(project: Watched) -> str:
    rows = wait_until(lambda: project.rows(_QUESTION), f"for a question; {project.incidents()}")
    return str(rows[0][0])


def test_the_request_is_made_of_measured_figures_and_sent_on_approval(
    provider: RehearsalProcess, tmp_path: Path
) -> None:
    with a_provider() as second:
        providers = {
            "first": provider_at(provider.url, breaker=PROBED_SOON, quotaContacts=["cleo"]),
            "second": provider_at(second.url, breaker=PROBED_SOON),
        }
        with a_watched_project(tmp_path / "p", providers, automation={"enabled": True}) as project:
            project.serve()
            run = project.start_run()
            provider.wait_for_calls(3)
            # As vendors do it: the list of models is served all the same.
            provider.set_fault("429_quota", match={"path": "/v1/chat/completions"})
            project.wait_for_incident()
            text = question(project)
            assert "It would: send to cleo this request:\nPlease raise our quota at first" in text
            assert "- requests: " in text
            assert "at the limit without a break since" in text
            assert project.mails("REPORT") == []
            project.call("incidents", "approve", "latest", "--reason", "we need it")
            (mail,) = wait_until(lambda: project.mails("REPORT"), "for the mail")
            assert str(mail["To"]) == "cleo@example.org"
            assert mail["Subject"] == "[REPORT] Request for more quota: first"
            body = mail.get_content()
            assert "Please raise our quota at first" in body
            assert "- refused for the limit: " in body
            assert run.wait() == 0, run.output
            assert "Please raise our quota at first" in project.call("incidents", "show", "latest")
            wait_until(
                lambda: project.rows("SELECT key FROM action_runs WHERE step = 'more-quota' AND state = 'done'"),
                "for the record of the action",
            )
            assert len(project.mails("REPORT")) == 1


def test_without_a_contact_the_text_is_on_the_incident_to_be_copied(provider: RehearsalProcess, watch: Watch) -> None:
    with watch(automation={"enabled": True}) as project:
        project.serve()
        project.start_run()
        provider.wait_for_calls(3)
        provider.set_fault("429_quota")
        project.wait_for_incident()
        assert "put on the incident, since no provider has quotaContacts, this request:" in question(project)
        project.call("incidents", "approve", "latest")
        wait_until(
            lambda: "Please raise our quota at first" in project.call("incidents", "show", "latest"), "for the text"
        )
        assert project.mails("REPORT") == []
