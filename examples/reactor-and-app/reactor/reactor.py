"""Makes a pipeline job of each message, and has an app compute it."""

from __future__ import annotations

from reactors.runtime import ManagedPipelineJobError, Reactor, ReactorManagedPipelineJob


def main() -> None:
    """Handle the message that this execution was started with."""
    rx = Reactor()
    if not rx.validate_message():
        rx.on_failure("Failed to validate message to schema")
    message = rx.context.message_dict
    try:
        # Settings, session, agent and task are the reactor's; the linkage is the message's.
        job = ReactorManagedPipelineJob(rx, message.data, sample_id=message.sample_id, instanced=True)
        rx.logger.info("The products will be at %s", job.archive_uri())
        definition = {
            "appId": rx.settings.app.id,
            "name": f"{rx.settings.app.name}-{rx.nickname}",
            "parameters": message.data,
            "inputs": {},
            "maxRunTime": rx.settings.app.max_run_time,
        }
        if rx.local:
            rx.logger.info("Would launch %s", definition)
            rx.on_success("Nothing was launched: LOCALONLY is set")
        # The archive path and the notifications of the job go with the definition.
        batch_job = job.setup().launch(definition)
    except ManagedPipelineJobError as error:
        rx.on_failure("Failed to launch the job", error)
    rx.on_success(f"PipelineJob {job.uuid} is computed by batch job {batch_job}")


if __name__ == "__main__":
    main()
