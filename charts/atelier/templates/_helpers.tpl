{{/* Labels of every object of the chart. managed-by is Helm's and never "atelier": by that value the operator finds
     what it made itself. */}}
{{- define "atelier.labels" -}}
app.kubernetes.io/name: atelier
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/part-of: atelier
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{- define "atelier.selector" -}}
app.kubernetes.io/name: atelier
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "atelier.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "atelier.gatewayImage" -}}
{{ .Values.gateway.image.repository }}:{{ .Values.gateway.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "atelier.storageImage" -}}
{{ .Values.storage.image.repository }}:{{ .Values.storage.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "atelier.serviceStorageSelector" -}}
app.kubernetes.io/name: atelier
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: service-storage
{{- end }}

{{/* The Secret with the credential of the service's own storage. */}}
{{- define "atelier.serviceStorageSecret" -}}
{{- if eq .Values.serviceStorage.type "Embedded" -}}
atelier-service-storage
{{- else -}}
{{ required "serviceStorage.secretName: the Secret with the credential of the store that you bring" .Values.serviceStorage.secretName }}
{{- end }}
{{- end }}

{{/* Where the service's own storage is, as the operator reads it: JSON. */}}
{{- define "atelier.serviceStorage" -}}
{{- $storage := .Values.serviceStorage }}
{{- $place := dict "type" $storage.type }}
{{- if eq $storage.type "Embedded" }}
{{- $_ := set $place "endpoint" (printf "https://atelier-service-storage.%s.svc:9000" .Release.Namespace) }}
{{- $_ := set $place "bucket" "service" }}
{{- else }}
{{- $fields := dict "S3" "s3" "AzureBlob" "azureBlob" "Gcs" "gcs" }}
{{- $needed := dict "S3" (list "bucket") "AzureBlob" (list "account" "container") "Gcs" (list "bucket") }}
{{- $kind := index $fields $storage.type }}
{{- range $name := index $needed $storage.type }}
{{- $_ := required (printf "serviceStorage.%s.%s: a store that you bring has one" $kind $name) (index $storage $kind $name) }}
{{- end }}
{{- range $name, $value := index $storage $kind }}
{{- if $value }}
{{- $_ := set $place $name $value }}
{{- end }}
{{- end }}
{{- end }}
{{- toJson $place }}
{{- end }}

{{/* For who fills in whom to trust, where the operator does not. */}}
{{- define "atelier.trustAnnotations" -}}
{{- if eq .Values.actions.certificates.keeper "External" }}
{{- with .Values.actions.certificates.annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}

{{/* The operator's user name, as the API server knows it. */}}
{{- define "atelier.operatorUser" -}}
system:serviceaccount:{{ .Release.Namespace }}:atelier-operator
{{- end }}

{{/* Pod Security "restricted". 65532 is the user that the images name too. */}}
{{- define "atelier.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "atelier.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* Where pods of the chart run. */}}
{{- define "atelier.placement" -}}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- end }}
