{{/* What every pod has in common: Pod Security "restricted", and a root file system that nothing can write to. */}}

{{- define "dokuei.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "dokuei.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* Replicas on different nodes where there are enough of them. */}}
{{- define "dokuei.spread" -}}
- maxSkew: 1
  topologyKey: kubernetes.io/hostname
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels: {{- toYaml . | nindent 6 }}
- maxSkew: 1
  topologyKey: topology.kubernetes.io/zone
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels: {{- toYaml . | nindent 6 }}
{{- end -}}

{{/* A container that holds its place and does nothing. */}}
{{- define "dokuei.pause" -}}
command: [python, -c, "import signal; signal.pause()"]
securityContext: {{- include "dokuei.containerSecurity" . | nindent 2 }}
{{- end -}}

{{/* A pod that is to end goes on for a while: until every node has heard of it, requests still come. */}}
{{- define "dokuei.lastRequests" -}}
lifecycle:
  preStop:
    sleep: {seconds: 10}
{{- end }}
