{{- define "hsmgate.name" -}}
{{- if contains "hsmgate" .Release.Name }}{{ .Release.Name }}{{ else }}{{ printf "%s-hsmgate" .Release.Name }}{{ end }}
{{- end }}

{{- define "hsmgate.selector" -}}
app.kubernetes.io/name: hsmgate
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "hsmgate.labels" -}}
{{ include "hsmgate.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "hsmgate.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "hsmgate.scheme" -}}
{{ if .Values.tls.secret }}HTTPS{{ else }}HTTP{{ end }}
{{- end }}

{{- define "hsmgate.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "hsmgate.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}
