{{- define "omnipipe.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 45 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 45 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 45 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* What the operator's pods are found by: fixed for the life of a release, so nothing that a value can change. */ -}}
{{- define "omnipipe.selector" -}}
app.kubernetes.io/name: omnipipe-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "omnipipe.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name (.Chart.Version | replace "+" "_") }}
{{ include "omnipipe.selector" . }}
app.kubernetes.io/component: operator
app.kubernetes.io/part-of: omnipipe
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* metadata's labels and annotations; give (list $ EXTRA-ANNOTATIONS EXTRA-LABELS), the dicts may be empty. */ -}}
{{- define "omnipipe.meta" -}}
{{- $root := index . 0 -}}
labels:
  {{- toYaml (merge (dict) (index . 2) (fromYaml (include "omnipipe.labels" $root))) | nindent 2 }}
{{- with merge (dict) (index . 1) $root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "omnipipe.serviceAccount" -}}
{{- default (include "omnipipe.fullname" .) .Values.serviceAccount.name -}}
{{- end -}}

{{- /* REGISTRY/REPOSITORY:TAG@DIGEST; give (list $ IMAGE). */ -}}
{{- define "omnipipe.image" -}}
{{- $root := index . 0 -}}
{{- $image := index . 1 -}}
{{- with (default $root.Values.images.registry $image.registry) }}{{ . | trimSuffix "/" }}/{{ end -}}
{{- $image.repository -}}
{{- if $image.digest -}}
{{- with $image.tag }}:{{ . }}{{ end }}@{{ $image.digest -}}
{{- else -}}
:{{ default $root.Chart.AppVersion $image.tag -}}
{{- end -}}
{{- end -}}

{{- define "omnipipe.webhookSecret" -}}
{{- if eq .Values.webhook.certificates "secret" -}}
{{- .Values.webhook.existingSecret -}}
{{- else -}}
{{- include "omnipipe.fullname" . }}-webhook
{{- end -}}
{{- end -}}

{{- /* Where `helm test` makes its pipeline: the operator must look after that namespace. */ -}}
{{- define "omnipipe.sampleNamespace" -}}
{{- $watched := .Values.watch.namespaces -}}
{{- if or (not $watched) (has .Release.Namespace $watched) -}}
{{- .Release.Namespace -}}
{{- else -}}
{{- first $watched -}}
{{- end -}}
{{- end -}}
