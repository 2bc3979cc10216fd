{{- /* Alerts on the operator itself, and on what it alone knows of pipelines. */ -}}
{{- define "omnipipe.alerts.operator" -}}
- alert: OmnipipeRolloutStuck
  expr: |
    count by (namespace, pipeline) (max by (namespace, pipeline, revision) (omnipipe_coordinator_in_flight)) > 1
  for: {{ .Values.prometheusRule.rolloutSeconds }}s
  labels: {severity: warning}
  annotations:
    summary: {{`'{{ $labels.namespace }}/{{ $labels.pipeline }} has had {{ $value }} cohorts side by side for too long'`}}
- alert: OmnipipePipelinesDegraded
  expr: |
    max by (namespace, job) (omnipipe_operator_pipelines{condition="Degraded", status="True"}) > 0
  for: 10m
  labels: {severity: warning}
  annotations:
    summary: {{`'{{ $value }} pipelines are Degraded: kubectl get omni -A says which and why'`}}
- alert: OmnipipeNoLeader
  expr: |
    sum by (namespace, job) (omnipipe_operator_leader) < 1 or absent(omnipipe_operator_leader)
  for: 2m
  labels: {severity: critical}
  annotations:
    summary: No operator leads; pipelines serve on, and no change of them is carried out
- alert: OmnipipeReconcileErrors
  expr: |
    sum by (namespace, job) (rate(omnipipe_operator_reconcile_total{result="error"}[5m])) > 0
  for: 15m
  labels: {severity: warning}
  annotations:
    summary: The operator keeps failing on some pipeline; its log says on which and why
- alert: OmnipipeReconcileQueueStuck
  expr: |
    max by (namespace, job) (omnipipe_operator_queue_oldest_seconds) > 120
  for: 5m
  labels: {severity: warning}
  annotations:
    summary: {{`'A pipeline has waited {{ $value | humanizeDuration }} for the operator to look at it'`}}
- alert: OmnipipeWatchStale
  expr: |
    sum by (namespace, job, kind) (rate(omnipipe_operator_watch_events_total{kind!~"Omni.*"}[10m])) == 0
  for: 5m
  labels: {severity: warning}
  annotations:
    summary: {{`'The operator has heard nothing of {{ $labels.kind }} objects, though the API server sends a sign of life a minute'`}}
{{- end -}}
