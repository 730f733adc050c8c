{{/* Names and labels. */}}

{{- define "dokuei.name" -}}
{{- printf "%s-%s" .root.Release.Name .component | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* A name for what belongs to the cluster and not to a namespace. */}}
{{- define "dokuei.clusterName" -}}
{{- printf "%s-%s-%s" .root.Release.Namespace .root.Release.Name .component | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "dokuei.selector" -}}
app.kubernetes.io/name: dokuei
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "dokuei.labels" -}}
{{ include "dokuei.selector" . }}
app.kubernetes.io/part-of: dokuei
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{/* Registry, repository, and digest or tag (by default the chart's appVersion). */}}
{{- define "dokuei.image" -}}
{{- $image := .image -}}
{{- with .root.Values.global.imageRegistry }}{{ trimSuffix "/" . }}/{{ end -}}
{{- $image.repository -}}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag | default .root.Chart.AppVersion }}{{ end -}}
{{- end -}}

{{- define "dokuei.pullSecrets" -}}
{{- with .Values.global.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "dokuei.servingPriority" -}}
{{- .Values.priorityClasses.serving | default (include "dokuei.clusterName" (dict "root" . "component" "serving")) -}}
{{- end -}}

{{- define "dokuei.placeholderPriority" -}}
{{- .Values.priorityClasses.placeholder | default (include "dokuei.clusterName" (dict "root" . "component" "placeholder")) -}}
{{- end -}}
