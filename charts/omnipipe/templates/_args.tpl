{{- /* The operator's command line; a test gives it to the operator's own parser. */ -}}
{{- define "omnipipe.args" -}}
- --gateway-image={{ include "omnipipe.image" (list . .Values.images.gateway) }}
- --stage-image={{ include "omnipipe.image" (list . .Values.images.stage) }}
{{- with .Values.images.pullPolicy }}
- --image-pull-policy={{ . }}
{{- end }}
{{- range .Values.images.pipelinePullSecrets }}
- --image-pull-secret={{ . }}
{{- end }}
{{- range .Values.watch.namespaces }}
- --namespace={{ . }}
{{- end }}
{{- if .Values.operator.allowHostPath }}
- --allow-host-path
{{- end }}
{{- with .Values.operator.clusterDomain }}
- --cluster-domain={{ . }}
{{- end }}
{{- if .Values.webhook.enabled }}
- --webhook-cert-dir=/etc/omnipipe/webhook
{{- end }}
- --termination-grace-s={{ .Values.operator.podTerminationGraceSeconds }}
- --workers={{ .Values.operator.workers }}
- --resync-s={{ .Values.operator.resyncSeconds }}
{{- with .Values.operator.callsPerSecond }}
- --calls-per-s={{ . }}
{{- end }}
- --log-level={{ .Values.operator.logLevel }}
- --log-format={{ .Values.operator.logFormat }}
{{- range .Values.operator.extraArgs }}
- {{ . | quote }}
{{- end }}
{{- end -}}
