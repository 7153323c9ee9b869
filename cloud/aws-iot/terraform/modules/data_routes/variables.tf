variable "name" {
  description = "First part of every name: <project>-<environment>."
  type        = string
}

variable "region" {
  description = "AWS region."
  type        = string
}

variable "account_id" {
  description = "AWS account, twelve digits."
  type        = string
}

variable "partition" {
  description = "AWS partition: aws, aws-cn or aws-us-gov."
  type        = string
}

variable "kms_key_arn" {
  description = "ARN of the KMS key for data at rest; null: the keys that AWS manages."
  type        = string
}

variable "sparkplug_group_id" {
  description = "Sparkplug group whose messages are routed."
  type        = string
}

variable "message_filter" {
  description = "Condition of the rules in AWS IoT SQL, without WHERE; empty: none."
  type        = string
}

variable "kinesis_stream_name" {
  description = "Name of the Kinesis stream."
  type        = string
}

variable "kinesis_shard_count" {
  description = "Shards of the Kinesis stream; 0: on demand."
  type        = number
}

variable "kinesis_retention_hours" {
  description = "How long records stay on the Kinesis stream, in hours."
  type        = number
}

variable "archive_enabled" {
  description = "Whether there is an archive."
  type        = bool
}

variable "firehose_stream_name" {
  description = "Name of the Firehose stream."
  type        = string
}

variable "archive_bucket_name" {
  description = "Name of the archive's bucket."
  type        = string
}

variable "archive_buffer_mib" {
  description = "Size at which an object is written, in MiB."
  type        = number
}

variable "archive_buffer_seconds" {
  description = "Age at which an object is written, in seconds."
  type        = number
}

variable "archive_transition_days" {
  description = "Days after which objects move to Glacier Instant Retrieval."
  type        = number
}

variable "archive_expiration_days" {
  description = "Days after which objects are deleted; null: never."
  type        = number
}

variable "events_enabled" {
  description = "Whether there is an EventBridge bus."
  type        = bool
}

variable "event_bus_name" {
  description = "Name of the EventBridge bus."
  type        = string
}

variable "event_filter" {
  description = "Pattern of the Kinesis records that become events, as JSON; null: all."
  type        = string
}

variable "event_queue_arns" {
  description = "SQS queues that get every event, by a short name."
  type        = map(string)
}

variable "log_retention_days" {
  description = "Days for which error reports are kept."
  type        = number
}
