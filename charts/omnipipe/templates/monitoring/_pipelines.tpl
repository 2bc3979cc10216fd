{{- /* Alerts on what pipelines do to their clients. Histograms through rate() and le, burn rates over two windows: the long
one says that it matters, the short one that it goes on. */ -}}
{{- define "omnipipe.alerts.pipelines" -}}
{{- $slo := .Values.prometheusRule.slo }}
{{- $le := toString $slo.ttftSeconds }}
{{- if not (contains "." $le) }}{{ $le = printf "%s.0" $le }}{{ end }}
{{- $burn := list
      (dict "name" "Fast" "long" "1h" "short" "5m" "factor" 14.4 "for" "2m" "severity" "critical")
      (dict "name" "Slow" "long" "6h" "short" "30m" "factor" 6.0 "for" "15m" "severity" "warning") }}
{{- range $burn }}
{{- $errors := mulf .factor $slo.errorRatio }}
- alert: OmnipipeErrorBudgetBurn{{ .name }}
  expr: |
    {{- range $index, $window := list .long .short }}
    {{- if $index }}
    and
    {{- end }}
    (
      sum by (namespace, pipeline) (rate(omnipipe_gateway_requests_total{outcome=~"server_error|timeout"}[{{ $window }}]))
      / sum by (namespace, pipeline) (rate(omnipipe_gateway_requests_total[{{ $window }}]))
      > {{ minf 0.99 $errors }}
    )
    {{- end }}
  for: {{ .for }}
  labels: {severity: {{ .severity }}}
  annotations:
    summary: {{`'{{ $labels.namespace }}/{{ $labels.pipeline }} fails {{ $value | humanizePercentage }} of its requests'`}}
{{- $late := mulf .factor $slo.ttftRatio }}
- alert: OmnipipeFirstTokenBudgetBurn{{ .name }}
  expr: |
    {{- range $index, $window := list .long .short }}
    {{- if $index }}
    and
    {{- end }}
    (
      1 - sum by (namespace, pipeline) (rate(omnipipe_gateway_time_to_first_token_seconds_bucket{le="{{ $le }}"}[{{ $window }}]))
      / sum by (namespace, pipeline) (rate(omnipipe_gateway_time_to_first_token_seconds_count[{{ $window }}]))
      > {{ minf 0.99 $late }}
    )
    {{- end }}
  for: {{ .for }}
  labels: {severity: {{ .severity }}}
  annotations:
    summary: {{`'{{ $labels.namespace }}/{{ $labels.pipeline }}: {{ $value | humanizePercentage }} of first tokens take more than `}}{{ $slo.ttftSeconds }}{{` s'`}}
{{- end }}
- alert: OmnipipeStageNotRoutable
  expr: |
    max by (namespace, pipeline, stage) (omnipipe_coordinator_replicas{state="routable"}) == 0
  for: 10m # loading a model may take as long
  labels: {severity: critical}
  annotations:
    summary: {{`'{{ $labels.namespace }}/{{ $labels.pipeline }}: no gateway can reach stage {{ $labels.stage }}'`}}
- alert: OmnipipeReplicaStalled
  expr: |
    max by (namespace, pipeline, stage) (omnipipe_coordinator_replicas{state="stalled"}) > 0
  for: 5m
  labels: {severity: warning}
  annotations:
    summary: {{`'{{ $labels.namespace }}/{{ $labels.pipeline }}: {{ $value }} replicas of stage {{ $labels.stage }} make no progress'`}}
- alert: OmnipipeOverloaded
  expr: |
    sum by (namespace, pipeline) (rate(omnipipe_coordinator_admission_refused_total{reason=~"queue_full|queue_timeout"}[5m])) > 0
  for: 10m
  labels: {severity: warning}
  annotations:
    summary: {{`'{{ $labels.namespace }}/{{ $labels.pipeline }} turns {{ $value | humanize }} requests a second away'`}}
- alert: OmnipipeEdgeSaturated
  expr: |
    histogram_quantile(0.95, sum by (le, namespace, pipeline, stage, edge) (rate(omnipipe_edge_ack_seconds_bucket[5m]))) > {{ .Values.prometheusRule.edgeSeconds }}
  for: 10m
  labels: {severity: warning}
  annotations:
    summary: {{`'{{ $labels.namespace }}/{{ $labels.pipeline }}: a chunk on {{ $labels.edge }} waits {{ $value | humanizeDuration }} for its consumer'`}}
- alert: OmnipipeRetrying
  expr: |
    sum by (namespace, pipeline) (rate(omnipipe_coordinator_retries_total[5m]))
    / sum by (namespace, pipeline) (rate(omnipipe_coordinator_requests_total[5m])) > 0.05
  for: 10m
  labels: {severity: warning}
  annotations:
    summary: {{`'{{ $labels.namespace }}/{{ $labels.pipeline }} runs {{ $value | humanizePercentage }} of its requests again'`}}
- alert: OmnipipeMessagesRejected
  expr: |
    sum by (namespace, pipeline, stage) (rate(omnipipe_stage_rejected_messages_total[5m])) > 0
  for: 10m
  labels: {severity: warning}
  annotations:
    summary: {{`'{{ $labels.namespace }}/{{ $labels.pipeline }}: stage {{ $labels.stage }} gets messages that make no sense'`}}
{{- end -}}
