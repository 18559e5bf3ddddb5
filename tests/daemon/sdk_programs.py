"""Programs that use the SDK, run in containers by the tests."""

from __future__ import annotations

from typing import Final

# Another home for packages was set, so those of the image are found by hand.
_BEGIN: Final = """
import glob, sys
sys.path += glob.glob("/opt/python/lib/python3*/site-packages")
"""

EXAMPLE: Final = (
    _BEGIN
    + """
exec(compile(open("/reactor.py").read(), "/reactor.py", "exec"))
"""
)

USES_ITS_DAEMON: Final = (
    _BEGIN
    + """
from reactors.runtime import Reactor

rx = Reactor()
message = rx.context.message_dict
if message == {"reply": True}:
    rx.send_result({"from": rx.context.x_src_actor_id, "session": rx.session, "state": rx.state})
    rx.on_success("replied")
if not rx.validate_message(message, {"required": ["secret"]}):
    rx.on_failure("Unwelcome", ValueError(message))
token = rx.context._abaco_access_token
rx.logger.info("token %s, variable %s", token, rx.context._REACTOR_SECRET)
nonce = rx.add_nonce("EXECUTE", 5)
rx.client.actors.updateState(actorId=rx.uid, body={"seen": True})
hook = rx.create_webhook(maxuses=2)
seen = {
    "execution": rx.send_message("me", {"reply": True}),
    "by_alias": rx.send_message("other-name", {"reply": True}, retryMaxAttempts=0),
    "nonces": sorted(each.max_uses for each in rx.list_nonces()),
    "name": rx.get_attr("name"),
    "tapipy": rx.client.actors.get_actor(actor_id=rx.uid).name,
    "hook": hook,
    "session": rx.session,
}
rx.delete_webhook(hook)
seen["left"] = [each.id == nonce.id for each in rx.list_nonces()]
rx.delete_all_nonces()
seen["none"] = list(rx.list_nonces())
rx.send_result(seen)
rx.on_success("all done")
"""
)

MAKES_A_JOB: Final = (
    _BEGIN
    + """
import os, time
from pathlib import Path
from reactors.runtime import MachineError, ManagedPipelineJobInstance, Reactor, ReactorManagedPipelineJob

os.chdir("/tmp")
Path("config.yml").write_text("pipelines: {pipeline_uuid: ~, job_manager_nonce: ~}")
rx = Reactor()
job = ReactorManagedPipelineJob(rx, rx.context.message_dict, sample_id="sample.tacc.20001", instanced=True)
job.setup()
try:
    job.finish()
except MachineError as error:
    rx.logger.info("%s", error)
job.run({"step": 1})
Path("/data" + job.archive_path, "words.txt").write_text("2")
job.finish()
while True:
    seen = ManagedPipelineJobInstance(None, job.uuid, token=job.token, pipelines=rx.settings.pipelines, daemon=rx.daemon)
    if seen.last_event == "indexed":
        break
    time.sleep(0.1)
rx.send_result({"record": job.load(token=job.token).job, "nickname": rx.nickname, "path": job.archive_path})
rx.on_success()
"""
)
