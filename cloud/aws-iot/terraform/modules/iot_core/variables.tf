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

variable "sparkplug_group_id" {
  description = "Sparkplug group: the second level of the topics."
  type        = string
}

variable "certificate_bucket" {
  description = "Bucket that signing requests are read from and certificates are written to."
  type        = string
}

variable "devices" {
  description = "Thing names of devices to register."
  type        = set(string)
}

variable "claims" {
  description = "Names of claim certificates to issue."
  type        = set(string)
}

variable "provisioning_enabled" {
  description = "Whether the provisioning template may be used."
  type        = bool
}

variable "pre_provisioning_hook_arn" {
  description = "ARN of the Lambda function that is asked before a device is registered; null: none."
  type        = string
}
