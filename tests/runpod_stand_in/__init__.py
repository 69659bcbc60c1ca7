"""RunPod's serverless platform on loopback: the side its workers talk to and the REST API its clients talk to.

Routes and bodies are those that runpod 1.12.0 sends and accepts. Where the platform's own behaviour is unknown, this
one takes the reading that lets a test see the worker's mistake: a result that is not JSON is refused, and whatever
arrives after a job is over is kept in `JobRecord.late` and changes nothing. It does not redeliver the jobs of a dead
worker, replace a worker that asks for it, call webhooks, expire queued jobs or forget results.

By hand: `PYTHONPATH=tests python -m runpod_stand_in --port 18080` prints what a worker and a client have to export.
"""

from runpod_stand_in.ledger import JobRecord, WorkerRecord
from runpod_stand_in.stand_in import RunPodStandIn

__all__ = ["JobRecord", "RunPodStandIn", "WorkerRecord"]
